//! gzip, where a client takes it and it pays. Flux always asks for it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};

use crate::answer::Answer;
use bytes::Bytes;
use http_body_util::Full;

/// A smaller answer fits into one packet as it is.
const LEAST: usize = 1024;

/// Whether the client that sent `headers` takes gzip (RFC 9110, 12.5.3).
fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let weighed: Vec<(&str, bool)> = codings.map(weighed).collect();
    let said = |coding: &str| weighed.iter().find(|(name, _)| name.eq_ignore_ascii_case(coding));
    said("gzip").or_else(|| said("*")).is_some_and(|(_, wanted)| *wanted)
}

/// The name of a coding, and whether its weight is more than nothing.
fn weighed(coding: &str) -> (&str, bool) {
    let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
    let weight = parameters.split(';').find_map(|one| {
        let (name, value) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
    });
    (name.trim(), weight.unwrap_or(1.0) > 0.0)
}

/// An answer with `body`, as the client that sent `headers` takes it.
pub(crate) fn encoded(mut answer: Answer, body: Vec<u8>, headers: &HeaderMap) -> Answer {
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let compressed = (body.len() >= LEAST && is_wanted(headers)).then(|| compress(&body)).flatten();
    if compressed.is_some() {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer.map(|_| Full::new(Bytes::from(compressed.unwrap_or(body))))
}

/// `None` where it does not get smaller. The fastest level: answers repeat themselves so much that the others
/// gain little.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().filter(|compressed| compressed.len() < body.len())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::answer::json_answer;

    #[test]
    fn who_wants_it() {
        for (sent, wanted) in [
            ("gzip", true),
            ("GZIP", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("br;q=1, deflate", false),
            ("gzip;q=much", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(sent))]);
            assert_eq!(is_wanted(&headers), wanted, "{sent}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn it_is_done_where_it_pays() {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let long = "inputs ".repeat(1000).into_bytes();
        let answer = encoded(json_answer(http::StatusCode::OK, ""), long.clone(), &headers);
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        let mut back = Vec::new();
        GzDecoder::new(&compress(&long).unwrap()[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, long);
        for (body, headers) in [(b"short".to_vec(), headers), (long, HeaderMap::new())] {
            let answer = encoded(json_answer(http::StatusCode::OK, ""), body, &headers);
            assert!(answer.headers().get(header::CONTENT_ENCODING).is_none());
            assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        }
    }
}
