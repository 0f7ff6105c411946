//! Who asks, and whether they may: headers and tokens in, a principal or an error out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use crate::error::{ApiError, Status};
use crate::tokens::Tokens;

const SEND_A_TOKEN: &str = "Send `Authorization: Bearer <token>`.";

/// What a request asks of whoever sends it. The later allow all that the earlier do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Public,
    Read,
    Write,
}

/// Who asks. Its name is what the log and the history show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// `None` where nobody need say: many threads would count who shares one.
    name: Option<Arc<str>>,
    access: Access,
}

impl Principal {
    pub(crate) fn new(name: &str, access: Access) -> Self {
        Principal { name: Some(name.into()), access }
    }

    /// Whoever needs no token.
    pub(crate) fn anyone() -> Self {
        Principal { name: None, access: Access::Public }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("-")
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| self.name().into())
    }

    /// Whether what needs `access` is this one's to do. Routes ask for their own access; a handler asks
    /// again where a parameter takes more than its route.
    pub(crate) fn permit(&self, access: Access) -> Result<(), ApiError> {
        if access <= self.access {
            return Ok(());
        }
        if self.access == Access::Public {
            return Err(unauthorized(SEND_A_TOKEN));
        }
        let message = "This token may only read: this takes one that may write, which is CRUD_AUTH_TOKEN or one of TOKENS_FILE.";
        Err(ApiError::new(Status::Forbidden, "forbidden", message))
    }
}

impl Tokens {
    /// Who sent `headers`; on a public route nobody need say.
    pub(crate) fn principal(&self, headers: &HeaderMap, access: Access) -> Result<Principal, ApiError> {
        if access == Access::Public {
            return Ok(Principal::anyone());
        }
        let unknown = || unauthorized("The bearer token is not one that this server knows.");
        self.find(bearer(headers)?).ok_or_else(unknown)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&[u8], ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| unauthorized(SEND_A_TOKEN))?;
    if values.next().is_some() {
        return Err(unauthorized("Send one Authorization header."));
    }
    let value = value.as_bytes();
    let scheme = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(scheme);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(unauthorized("The scheme of the Authorization header must be Bearer."));
    }
    Ok(token.trim_ascii())
}

fn unauthorized(message: &str) -> ApiError {
    let challenge = HeaderValue::from_static("Bearer realm=\"flux-resourceset\"");
    ApiError::new(Status::Unauthorized, "unauthorized", message)
        .with_header(header::WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Variables};

    fn tokens(pairs: &[(&str, &str)]) -> Tokens {
        let variables: Variables = pairs.iter().map(|(k, v)| ((*k).into(), Some((*v).into()))).collect();
        Tokens::of(&Config::read(&variables).unwrap())
    }

    fn admit(tokens: &Tokens, authorization: &str, access: Access) -> Result<String, &'static str> {
        let value = HeaderValue::from_str(authorization).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let principal = tokens.principal(&headers, access);
        principal
            .and_then(|known| known.permit(access).map(|()| known.name().to_owned()))
            .map_err(|error| error.code)
    }

    #[test]
    fn who_may_what() {
        let tokens = tokens(&[("AUTH_TOKEN", "r"), ("CRUD_AUTH_TOKEN", "w"), ("API_MODE", "crud")]);
        let cases = [
            ("Bearer r", Access::Read, Ok("reader")),
            ("bEaReR   r ", Access::Read, Ok("reader")),
            ("Bearer w", Access::Read, Ok("writer")),
            ("Bearer w", Access::Write, Ok("writer")),
            ("Bearer r", Access::Write, Err("forbidden")),
            ("Bearer rr", Access::Read, Err("unauthorized")),
            ("Bearer ", Access::Read, Err("unauthorized")),
            ("Bearer", Access::Read, Err("unauthorized")),
            ("Bearerr", Access::Read, Err("unauthorized")),
            ("r", Access::Read, Err("unauthorized")),
            ("Basic cjpy", Access::Write, Err("unauthorized")),
            ("", Access::Read, Err("unauthorized")),
        ];
        for (authorization, access, expected) in cases {
            assert_eq!(
                admit(&tokens, authorization, access).as_deref().map_err(|code| *code),
                expected,
                "{authorization:?} {access:?}"
            );
        }
        assert_eq!(tokens.principal(&HeaderMap::new(), Access::Public).unwrap(), Principal::anyone());
        let refused = tokens.principal(&HeaderMap::new(), Access::Read).unwrap_err().into_answer("id");
        assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"flux-resourceset\"");
    }

    #[test]
    fn one_token_for_both_writes() {
        let tokens = tokens(&[("AUTH_TOKEN", "r"), ("API_MODE", "crud")]);
        assert_eq!(admit(&tokens, "Bearer r", Access::Write), Ok("writer".to_owned()));
    }

    #[test]
    fn two_authorization_headers_are_none() {
        let tokens = tokens(&[("AUTH_TOKEN", "r")]);
        let value = HeaderValue::from_static("Bearer r");
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, value.clone());
        headers.append(header::AUTHORIZATION, value);
        assert_eq!(tokens.principal(&headers, Access::Read).unwrap_err().code, "unauthorized");
    }
}
