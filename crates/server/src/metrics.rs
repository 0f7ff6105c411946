//! What Prometheus is told. Labels are routes, methods, statuses and the names of tokens: their number
//! is bounded, and they name no cluster, since /metrics is public.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flux_resourceset_model::{CLUSTERS, FREEZES};
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::memory::Memory;
use crate::time;
use crate::tokens::Tokens;
use crate::view::{Moment, State};

pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

/// Read when they are asked for: the names change with the file, and a request notes its use elsewhere.
impl Collector for Tokens {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "1 while TOKENS_FILE cannot be taken as it is and older tokens are in force.";
        encoder
            .encode_descriptor("tokens_file_error", help, None, MetricType::Gauge)?
            .encode_gauge(&i64::from(self.file_refused()))?;
        let help = "When a token of this name was last used; 0 for not since the start.";
        let name = "token_last_used_timestamp_seconds";
        let mut uses = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (name, at) in self.last_uses() {
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            uses.encode_family(&Name { name: name.to_string() })?.encode_gauge(&at)?;
        }
        Ok(())
    }
}

/// A float gauge; the default one counts.
type FloatGauge = Gauge<f64, AtomicU64>;

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    latency: Family<Timed, Histogram, fn() -> Histogram>,
    revision: Gauge,
    clusters: Gauge,
    freezes: Gauge,
    expiring: Gauge,
    expired: Gauge,
    servable: Gauge,
    mute: Family<Reason, Gauge>,
    stale: Gauge,
    snapshot_revision: Gauge,
    snapshot_age: FloatGauge,
    snapshot_error: Gauge,
    since_poll: FloatGauge,
    since_confirmed: FloatGauge,
    started: Instant,
    /// Milliseconds after `started` of the last poll that was answered, or [`NEVER`].
    last_poll: AtomicU64,
}

impl Metrics {
    pub(crate) fn new(tokens: Arc<Tokens>) -> Self {
        let latency = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("flux_resourceset"),
            requests: Family::default(),
            latency,
            revision: Gauge::default(),
            clusters: Gauge::default(),
            freezes: Gauge::default(),
            expiring: Gauge::default(),
            expired: Gauge::default(),
            servable: Gauge::default(),
            mute: Family::default(),
            stale: Gauge::default(),
            snapshot_revision: Gauge::default(),
            snapshot_age: FloatGauge::default(),
            snapshot_error: Gauge::default(),
            since_poll: FloatGauge::default(),
            since_confirmed: FloatGauge::default(),
            started: Instant::now(),
            last_poll: AtomicU64::new(NEVER),
        };
        metrics.register();
        metrics.registry.register_collector(Box::new(tokens));
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests by route and status", self.requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer, by route", self.latency.clone());
        registry.register("fleet_revision", "Revision of the fleet that is served", self.revision.clone());
        registry.register("fleet_clusters", "Clusters of the fleet that is served", self.clusters.clone());
        let help = "Freezes that stand: each keeps the polls of its clusters unanswered until it is lifted";
        registry.register("freezes", help, self.freezes.clone());
        let help = "Overrides of clusters that are meant to stand for a time only";
        registry.register("expiring_overrides", help, self.expiring.clone());
        let help = "Those of them whose time is over: they stand until somebody takes them out";
        registry.register("expired_overrides", help, self.expired.clone());
        registry.register(
            "polls_served",
            "1 while polls are answered, 0 while they get 503",
            self.servable.clone(),
        );
        let help = "1 for the reason why the store is followed no further";
        registry.register("mute", help, self.mute.clone());
        let help = "1 while polls are answered from what is not confirmed in time, since SERVE_STALE says so";
        registry.register("serving_stale", help, self.stale.clone());
        let help = "Revision of the fleet in SNAPSHOT_FILE; 0 where there is none";
        registry.register("snapshot_revision", help, self.snapshot_revision.clone());
        let help = "Seconds since this process wrote SNAPSHOT_FILE, which it does where the fleet changed; NaN before the first";
        registry.register("snapshot_age_seconds", help, self.snapshot_age.clone());
        let help = "1 while SNAPSHOT_FILE, or what is noted beside it, cannot be written";
        registry.register("snapshot_error", help, self.snapshot_error.clone());
        let help = "Seconds since a poll was answered with 200; NaN before the first";
        registry.register("last_poll_age_seconds", help, self.since_poll.clone());
        let help = "Seconds since the fleet was last confirmed to be the store's head; NaN before the first";
        registry.register("confirmed_age_seconds", help, self.since_confirmed.clone());
    }

    pub(crate) fn answered(&self, method: &Method, route: String, status: StatusCode, took: Duration) {
        let timed = Timed { route };
        self.latency.get_or_create(&timed).observe(took.as_secs_f64());
        let request = Request { method: known_method(method), route: timed.route, status: status.as_u16() };
        self.requests.get_or_create(&request).inc();
    }

    pub(crate) fn polled(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.last_poll.store(elapsed, Ordering::Relaxed);
    }

    /// Everything as text, the gauges as of now.
    pub(crate) fn encode(
        &self,
        state: &State,
        memory: Option<&Memory>,
        max_staleness: Duration,
    ) -> Result<String, std::fmt::Error> {
        let now = Moment::now();
        let head = state.head();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.clusters.set(number(head.map_or(0, |head| head.fleet.len(CLUSTERS) as u64)));
        self.freezes.set(number(head.map_or(0, |head| head.fleet.len(FREEZES) as u64)));
        self.expiring.set(number(head.map_or(0, |head| head.fleet.expiring() as u64)));
        self.expired.set(number(head.map_or(0, |head| head.fleet.expired(time::now()) as u64)));
        let served = state.servable(now, max_staleness).ok();
        let known = head.map(|head| head.position).or(served.as_ref().map(|served| served.position));
        self.revision.set(number(known.map_or(0, |known| known.revision)));
        self.servable.set(i64::from(served.is_some()));
        self.stale.set(i64::from(served.is_some_and(|served| served.stale.is_some())));
        self.mute.clear();
        if let Some(mute) = state.mute() {
            self.mute.get_or_create(&Reason { code: mute.code }).set(1);
        }
        self.set_snapshot(memory);
        self.since_confirmed.set(head.map_or(f64::NAN, |head| now.since(head.confirmed).as_secs_f64()));
        self.since_poll.set(self.last_poll_age());
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn set_snapshot(&self, memory: Option<&Memory>) {
        let saved = memory.map(Memory::saved).unwrap_or_default();
        let revision = saved.of.map_or(0, |of| of.position.revision);
        self.snapshot_revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.snapshot_age.set(saved.at.map_or(f64::NAN, |at| at.elapsed().as_secs_f64()));
        self.snapshot_error.set(i64::from(memory.is_some_and(Memory::is_failing)));
    }

    fn last_poll_age(&self) -> f64 {
        match self.last_poll.load(Ordering::Relaxed) {
            NEVER => f64::NAN,
            at => self.started.elapsed().saturating_sub(Duration::from_millis(at)).as_secs_f64(),
        }
    }
}

/// A method that nobody knows could be any text, and each text would be a series of its own.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn text_for_prometheus() {
        let variables = [("AUTH_TOKEN", "r"), ("CRUD_AUTH_TOKEN", "w")];
        let variables = variables.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let tokens = Arc::new(Tokens::of(&Config::read(&variables.into()).unwrap()));
        let metrics = Metrics::new(Arc::clone(&tokens));
        metrics.answered(&Method::GET, "/clusters/{id}".into(), StatusCode::OK, Duration::from_millis(3));
        let hostile = Method::from_bytes(b"BREW").unwrap();
        metrics.answered(&hostile, "(none)".into(), StatusCode::NOT_FOUND, Duration::ZERO);
        let text = metrics.encode(&State::default(), None, Duration::from_secs(60)).unwrap();
        for line in [
            "flux_resourceset_http_requests_total{method=\"GET\",route=\"/clusters/{id}\",status=\"200\"} 1",
            "flux_resourceset_http_requests_total{method=\"other\",route=\"(none)\",status=\"404\"} 1",
            "flux_resourceset_http_request_duration_seconds_bucket{le=\"0.005\",route=\"/clusters/{id}\"} 1",
            "flux_resourceset_expiring_overrides 0",
            "flux_resourceset_expired_overrides 0",
            "flux_resourceset_polls_served 0",
            "flux_resourceset_serving_stale 0",
            "flux_resourceset_snapshot_revision 0",
            "flux_resourceset_snapshot_age_seconds NaN",
            "flux_resourceset_snapshot_error 0",
            "flux_resourceset_last_poll_age_seconds NaN",
            "flux_resourceset_tokens_file_error 0",
            "flux_resourceset_token_last_used_timestamp_seconds{name=\"reader\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        tokens.find(b"w").unwrap();
        tokens.set_file_refused(true);
        let text = metrics.encode(&State::default(), None, Duration::from_secs(60)).unwrap();
        let used = text.lines().find(|line| line.contains("{name=\"writer\"} 0"));
        assert!(used.is_none() && text.contains("flux_resourceset_tokens_file_error 1"), "{text}");
    }
}
