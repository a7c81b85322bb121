//! Reading query strings.

use std::borrow::Cow;

/// The first parameter of that name, as it is written.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    parameters(query, name).next()
}

/// All parameters of that name, as they are written.
pub(crate) fn parameters<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
}

/// A written parameter as text; `None` when its escapes are malformed or not UTF-8.
pub(crate) fn decode(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains(['%', '+']) {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let query = Some("monkey=1&key=a%2Cb&key=c&empty=");
        assert_eq!(parameter(query, "key"), Some("a%2Cb"));
        assert_eq!(parameter(query, "empty"), Some(""));
        assert_eq!(parameters(query, "key").collect::<Vec<_>>(), ["a%2Cb", "c"]);
        assert_eq!(parameter(query, "y"), None);
        assert_eq!(parameter(None, "key"), None);
    }

    #[test]
    fn escapes_are_decoded_or_refused() {
        assert_eq!(decode("a%2Cb+c").unwrap(), "a,b c");
        for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
