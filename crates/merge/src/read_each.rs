//! Reading many documents on every processor, while what was read is put together in order: a start with many
//! clusters waits for this.

use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

/// How many are read at once.
const PART: usize = 256;
/// How many parts may wait for each reader's turn, which bounds the memory that they take.
const AHEAD: usize = 4;

/// Passes what `read` makes of each of `all` to `take`, in order.
///
/// # Errors
/// The first that `take` returns; what comes after it is not taken.
pub(crate) fn read_each<T: Send, R: Send, E>(
    all: Vec<T>,
    read: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let readers = thread::available_parallelism().map_or(1, NonZero::get);
    if all.len() <= PART || readers == 1 {
        return all.into_iter().try_for_each(|one| take(read(one)));
    }
    let mut shares: Vec<Vec<Vec<T>>> = (0..readers).map(|_| Vec::new()).collect();
    let (mut all, mut parts) = (all.into_iter(), 0);
    loop {
        let part: Vec<T> = all.by_ref().take(PART).collect();
        if part.is_empty() {
            break;
        }
        shares[parts % readers].push(part);
        parts += 1;
    }
    thread::scope(|scope| {
        let read = &read;
        let shares = shares.into_iter().map(|share| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                for part in share {
                    // Nobody takes any more once something was wrong.
                    if send.send(part.into_iter().map(read).collect::<Vec<R>>()).is_err() {
                        return;
                    }
                }
            });
            receive
        });
        let shares: Vec<_> = shares.collect();
        for at in 0..parts {
            let part = shares[at % readers].recv().unwrap_or_default();
            part.into_iter().try_for_each(&mut take)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_taken_in_order_until_something_is_wrong() {
        for count in [0, 1, PART, PART + 1, 10 * PART + 7] {
            let mut taken = Vec::new();
            let all: Vec<usize> = (0..count).collect();
            let took = read_each(
                all,
                |one| one * 2,
                |one| {
                    taken.push(one);
                    Ok::<_, ()>(())
                },
            );
            assert_eq!((took, taken), (Ok(()), (0..count).map(|one| one * 2).collect()));
        }
        let mut last = 0;
        let refused = read_each(
            (0..10 * PART).collect(),
            |one| one,
            |one| {
                last = one;
                if one == 1000 { Err("no") } else { Ok(()) }
            },
        );
        assert_eq!((refused, last), (Err("no"), 1000));
    }
}
