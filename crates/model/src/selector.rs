//! Kubernetes label selectors: which clusters a change, a list or a freeze is about.

use std::fmt;
use std::str::FromStr;

/// A label selector in Kubernetes' syntax: requirements separated by commas, all of which must hold.
/// The empty one holds for everything.
///
/// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`,
/// `key>1`, `key<1`. As in Kubernetes `!=` and `notin` hold for what lacks the key too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

/// A label without which a selector does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor<'a> {
    /// This label, with one of these values.
    Values(&'a str, &'a [String]),
    /// This label, whatever its value.
    Key(&'a str),
}

/// Where a text stops being a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {expected}")]
pub struct SelectorError {
    /// The character at which it is wrong, counted from 1.
    pub position: usize,
    /// What could stand there, in words.
    pub expected: String,
}

impl Selector {
    /// Whether it holds for what has the labels that `label` knows.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Its requirements that only what has a certain label fulfils: by any of them what it selects can be
    /// looked up.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor<'_>> {
        self.0.iter().filter_map(|Requirement { key, operator }| match operator {
            Operator::In(values) => Some(Anchor::Values(key, values)),
            Operator::Exists | Operator::GreaterThan(_) | Operator::LessThan(_) => Some(Anchor::Key(key)),
            Operator::DoesNotExist | Operator::NotIn(_) => None,
        })
    }

    /// Whether it holds for everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { text, at: 0 };
        let mut requirements = Vec::new();
        reader.skip_spaces();
        if reader.peek().is_none() {
            return Ok(Selector(requirements));
        }
        loop {
            requirements.push(reader.requirement()?);
            match reader.peek() {
                None => return Ok(Selector(requirements)),
                Some(',') => reader.advance(),
                Some(_) => return Err(reader.expected("expected a comma or the end")),
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
        self.skip_spaces();
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, what: &str) -> SelectorError {
        self.wrong(self.at, what.to_owned())
    }

    fn wrong(&self, at: usize, expected: String) -> SelectorError {
        SelectorError { position: self.text[..at].chars().count() + 1, expected }
    }

    /// What stands here up to a space or a sign; empty where a sign stands.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| c.is_whitespace() || "!=<>(),".contains(c)).unwrap_or(rest.len());
        self.at += end;
        self.skip_spaces();
        &rest[..end]
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek() == Some('!') {
            self.advance();
            return Ok(Requirement { key: self.key()?, operator: Operator::DoesNotExist });
        }
        let key = self.key()?;
        let operator = match self.peek() {
            None | Some(',') => Operator::Exists,
            Some('=') => {
                self.advance();
                if self.peek() == Some('=') {
                    self.advance();
                }
                Operator::In(vec![self.value()?])
            }
            Some('!') => {
                self.advance();
                if self.peek() != Some('=') {
                    return Err(self.expected("expected `=` after `!`"));
                }
                self.advance();
                Operator::NotIn(vec![self.value()?])
            }
            Some('>') => Operator::GreaterThan(self.number()?),
            Some('<') => Operator::LessThan(self.number()?),
            Some(_) => {
                let start = self.at;
                match self.word() {
                    "in" => Operator::In(self.values()?),
                    "notin" => Operator::NotIn(self.values()?),
                    _ => {
                        let expected = "expected =, ==, !=, in, notin, > or <, a comma or the end";
                        return Err(self.wrong(start, expected.into()));
                    }
                }
            }
        };
        Ok(Requirement { key, operator })
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let key = self.word();
        if key.is_empty() {
            return Err(self.wrong(start, "expected the name of a label".into()));
        }
        if !is_qualified_name(key) {
            return Err(self.wrong(start, format!("`{key}` is not the name of a label")));
        }
        Ok(key.to_owned())
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let value = self.word();
        if is_label_value(value) {
            return Ok(value.to_owned());
        }
        Err(self.wrong(start, format!("`{value}` is not the value of a label")))
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        self.advance();
        let start = self.at;
        let word = self.word();
        word.parse().map_err(|_| self.wrong(start, "expected a whole number".into()))
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        if self.peek() != Some('(') {
            return Err(self.expected("expected `(` and the values"));
        }
        self.advance();
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.peek() {
                Some(',') => self.advance(),
                Some(')') => {
                    self.advance();
                    return Ok(values);
                }
                _ => return Err(self.expected("expected a comma or `)`")),
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, operator }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}")?;
            match operator {
                Operator::Exists => write!(f, "{key}")?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Operator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::GreaterThan(bound) => write!(f, "{key}>{bound}")?,
                Operator::LessThan(bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or nothing.
fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    text.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && ends.iter().all(|end| end.is_none_or(u8::is_ascii_alphanumeric))
}

/// `name` or `dns.prefix/name`.
fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    !name.is_empty()
        && is_label_value(name)
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        selector.parse::<Selector>().unwrap().matches(|key| labels.get(key).copied())
    }

    #[test]
    fn holds_as_in_kubernetes() {
        let labels = [("environment", "prod"), ("region", "eu"), ("example.com/nodes", "12"), ("edge", "")];
        for selector in [
            "",
            " ",
            "environment",
            "environment=prod",
            "environment == prod",
            "region in (eu,us)",
            "region in ( eu , us ),environment=prod",
            "tier!=gold",
            "tier notin (gold)",
            "!tier",
            "edge=",
            "edge",
            "example.com/nodes>11",
            "example.com/nodes < 13",
            "region notin (us, )",
            "edge in (,x)",
        ] {
            assert!(holds(selector, &labels), "{selector}");
        }
        for selector in [
            "tier",
            "environment=dev",
            "region notin (eu,us)",
            "region!=eu",
            "!edge",
            "tier=",
            "tier>1",
            "region>1",
            "environment=prod,region=us",
            "example.com/nodes>12",
        ] {
            assert!(!holds(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn says_where_it_is_wrong() {
        let wrong = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        insta::assert_snapshot!([
            "a=b,", ",", "a b", "a in b", "a in (b", "a in (b c)", "=b", "a=b=c", "a!b", "a>x", "-a", "a=-b",
            "ä=b", "x=1,é", "!", "a in ()x",
        ].map(|text| format!("{text}  {}", wrong(text))).join("\n"), @"
        a=b,  at character 5: expected the name of a label
        ,  at character 1: expected the name of a label
        a b  at character 3: expected =, ==, !=, in, notin, > or <, a comma or the end
        a in b  at character 6: expected `(` and the values
        a in (b  at character 8: expected a comma or `)`
        a in (b c)  at character 9: expected a comma or `)`
        =b  at character 1: expected the name of a label
        a=b=c  at character 4: expected a comma or the end
        a!b  at character 3: expected `=` after `!`
        a>x  at character 3: expected a whole number
        -a  at character 1: `-a` is not the name of a label
        a=-b  at character 3: `-b` is not the value of a label
        ä=b  at character 1: `ä` is not the name of a label
        x=1,é  at character 5: `é` is not the name of a label
        !  at character 2: expected the name of a label
        a in ()x  at character 8: expected a comma or the end
        ");
    }

    #[test]
    fn is_written_as_it_was_read() {
        for text in ["", "a", "!a,b=c,d!=e,f in (g,h),i notin (j,k),l>1,m<-2", "a="] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
    }
}
