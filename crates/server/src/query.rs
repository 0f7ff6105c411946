//! A request's query string, held against the parameters that its route declares: what is unknown,
//! repeated or impossible is refused, since a filter that is passed over answers too much.

use crate::error::ApiError;
use crate::percent;
use crate::routes::Parameter;

/// The parameters that were sent, each known and at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>, known: &[Parameter]) -> Result<Self, ApiError> {
        let pairs = percent::decode_query(query.unwrap_or_default()).ok_or_else(|| {
            ApiError::bad_request("malformed_query", "The query is not valid percent-encoded UTF-8.")
        })?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.iter().any(|parameter| parameter.name == *name) {
                return Err(unknown(name, known));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(invalid(name, "is given more than once"));
            }
        }
        Ok(Query(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        self.parsed(name, "must be a whole number from 0 on")
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.parsed(name, "must be true or false")?.unwrap_or(false))
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, rule: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|text| text.parse().map_err(|_| invalid(name, rule))).transpose()
    }
}

pub(crate) fn invalid(name: &str, rule: &str) -> ApiError {
    ApiError::bad_request("invalid_parameter", format!("The query parameter `{name}` {rule}."))
}

fn unknown(name: &str, known: &[Parameter]) -> ApiError {
    let names: Vec<_> = known.iter().map(|parameter| parameter.name.as_str()).collect();
    let known =
        if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) };
    ApiError::bad_request(
        "unknown_parameter",
        format!("This route has no query parameter `{name}`: {known}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        let known = ["limit", "force"].map(|name| Parameter {
            name: name.into(),
            schema: "string",
            description: String::new(),
        });
        let code = |query| Query::parse(Some(query), &known).map(|_| ()).map_err(|error| error.code);
        assert_eq!(code("limit=1&force=true"), Ok(()));
        assert_eq!(code("Limit=1"), Err("unknown_parameter"));
        assert_eq!(code("limit=1&limit=1"), Err("invalid_parameter"));
        assert_eq!(code("limit=%"), Err("malformed_query"));
        let query = Query::parse(Some("limit=-1&force=yes"), &known).unwrap();
        assert!(query.count("limit").is_err() && query.flag("force").is_err());
        assert!(!Query::parse(None, &known).unwrap().flag("force").unwrap());
    }
}
