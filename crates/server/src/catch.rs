//! A panic while a request is answered, made a value: the request gets 500, the process lives on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What `future` yields, or the text of the panic that ended it.
pub(crate) async fn catch<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    // Nothing of a request outlives it but what is swapped in whole or behind an async lock.
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(text(&*panic))),
    })
    .await
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_value() {
        assert_eq!(catch(async { 1 }).await, Ok(1));
        let after_a_pause = async {
            tokio::task::yield_now().await;
            assert_eq!(1, 2, "sums");
        };
        assert!(catch(after_a_pause).await.unwrap_err().contains("sums"));
    }
}
