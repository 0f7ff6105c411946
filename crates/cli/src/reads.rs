//! What commands read from the API, each as one call.

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::error::Error;
use crate::key_value::KeyValue;
use crate::request::{self, AsOf, Part, Request};

impl Client<'_> {
    pub(crate) fn list(
        &self,
        plural: &str,
        filters: &[KeyValue],
        selector: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        self.array(&request::list(plural, filters, selector))
    }

    pub(crate) fn get(&self, plural: &str, id: &str) -> Result<Answer, Error> {
        self.send(&request::get(plural, id, None))
    }

    pub(crate) fn get_part(&self, part: Part<'_>) -> Result<Answer, Error> {
        self.send(&request::get_part(part))
    }

    pub(crate) fn tombstones(&self) -> Result<Vec<Value>, Error> {
        self.array(&request::tombstones())
    }

    /// `{"inputs": [...]}`: what the cluster with this DNS name polls.
    pub(crate) fn inputs(&self, dns: &str, flux_path: &str, as_of: &AsOf) -> Result<Value, Error> {
        self.body(&request::inputs(dns, flux_path, as_of))
    }

    pub(crate) fn body(&self, request: &Request) -> Result<Value, Error> {
        Ok(self.send(request)?.body)
    }

    pub(crate) fn array(&self, request: &Request) -> Result<Vec<Value>, Error> {
        Ok(self.page(request)?.0)
    }

    /// A list, or a page of it, and how many there are in all if the server tells.
    pub(crate) fn page(&self, request: &Request) -> Result<(Vec<Value>, Option<u64>), Error> {
        let answer = self.send(request)?;
        match answer.body {
            Value::Array(items) => Ok((items, answer.total)),
            _ => Err(Error::Failed(format!(
                "{} {} was answered with something other than a list; check that FLUX_API_URL is this API",
                request.method,
                request.target()
            ))),
        }
    }

    /// Whether the server knows plans, which came with freezes. One that does not could carry out what
    /// it is asked to plan.
    pub(crate) fn check_plans(&self) -> Result<(), Error> {
        match self.send(&request::freezes()) {
            Err(missing) if missing.is_unknown_route() => Err(Error::Failed(
                "this server knows no plans, so nothing was asked of it; leave out --plan, --whatif, \
                 --plan-digest and --allow-removals, or update it"
                    .into(),
            )),
            answered => answered.map(drop),
        }
    }
}
