//! Percent-decoding, strict: what is no valid escape or no UTF-8 is refused instead of guessed, so
//! that one id has one meaning. Used for path segments and for queries.

/// Decodes `text` once; `None` where an escape is incomplete or the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The pairs of a query string in order, `+` read as a space; `None` where one cannot be decoded.
pub(crate) fn decode_query(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&key.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// `id` as one path segment of a URL.
pub(crate) fn encode_segment(id: &str) -> String {
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_or_not_at_all() {
        for (text, decoded) in [
            ("demo-01", Some("demo-01")),
            ("system%3Amasters", Some("system:masters")),
            ("a%2Fb", Some("a/b")),
            ("%2525", Some("%25")),
            ("a+b", Some("a+b")),
            ("%zz", None),
            ("%4", None),
            ("%", None),
            ("%ff", None),
            ("%+4", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn queries() {
        let pairs =
            |list: &[(&str, &str)]| Some(list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        assert_eq!(decode_query("a=1&b=x+y&&c"), pairs(&[("a", "1"), ("b", "x y"), ("c", "")]));
        assert_eq!(decode_query(""), pairs(&[]));
        assert_eq!(decode_query("a=%"), None);
    }

    #[test]
    fn a_segment_survives_the_way_there_and_back() {
        let id = "system:x/ü %";
        assert_eq!(encode_segment(id), "system:x%2F%C3%BC%20%25");
        assert_eq!(decode(&encode_segment(id)).as_deref(), Some(id));
    }
}
