//! The report of exceptions: where clusters say something else than their profiles, since when, and by whom.

use std::collections::HashMap;
use std::sync::Arc;

use flux_resourceset_merge::{Exception, Fleet};
use flux_resourceset_model::{Cluster, Selector};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::answer::{Answer, json_answer};
use crate::authorship::{Authorship, Changed};
use crate::documents::TOTAL;
use crate::error::ApiError;
use crate::history::{LARGEST_PAGE, page_size};
use crate::query::{Query, invalid};
use crate::selection;
use crate::time;
use crate::versions::Walk;
use crate::view::Head;

/// How many versions of documents one report looks at, as long as a fleet's history may be.
const MOST_VERSIONS: usize = 100_000;
/// How many clusters are looked at in one go; whoever has gone away since is not worked for any longer.
const AT_ONCE: usize = 64;

/// A page of the exceptions that match every filter of `query`, the oldest first.
pub(crate) async fn list(head: &Head, query: &Query) -> Result<Answer, ApiError> {
    let page = (query.count("offset")?.unwrap_or(0), page_size(query, LARGEST_PAGE)?);
    let report = Arc::new(Report { asked: Asked::of(&head.fleet, query)?, head: head.clone() });
    // A fleet's worth of exceptions takes a while, and polls go on meanwhile.
    let of_all = Arc::clone(&report);
    let clusters = spawn_blocking(move || of_all.clusters()).await.map_err(ApiError::internal)?;
    let (mut rows, mut left) = (Vec::new(), MOST_VERSIONS);
    for some in clusters.chunks(AT_ONCE) {
        let (report, some, runtime) = (Arc::clone(&report), some.to_vec(), Handle::current());
        let looked = spawn_blocking(move || runtime.block_on(report.rows(&some, left)));
        let (found, rest) = looked.await.map_err(ApiError::internal)??;
        rows.extend(found);
        left = rest;
    }
    let total = rows.len();
    let written = spawn_blocking(move || report.page(rows, page)).await.map_err(ApiError::internal)??;
    let mut answer = json_answer(StatusCode::OK, written);
    answer.headers_mut().insert(TOTAL, HeaderValue::from(total));
    Ok(answer)
}

/// Which exceptions are asked for.
struct Asked {
    cluster: Option<String>,
    selectors: Vec<Selector>,
    kind: Option<String>,
    input: Option<String>,
    principal: Option<String>,
    expired: Option<bool>,
    /// Now, in milliseconds since 1970 UTC.
    now: i64,
}

impl Asked {
    fn of(fleet: &Fleet, query: &Query) -> Result<Self, ApiError> {
        let text = |name| query.get(name).map(str::to_owned);
        let profile = selection::profile(fleet, query)?.map(|profile| profile.selector.clone());
        let polled: Vec<_> = fleet
            .types()
            .iter()
            .filter(|kind| kind.flux_path().is_some())
            .map(|kind| kind.plural())
            .collect();
        let kind = text("type");
        if kind.as_ref().is_some_and(|kind| !polled.contains(&kind.as_str())) {
            return Err(invalid("type", &format!("must be one of {}", polled.join(", "))));
        }
        Ok(Asked {
            cluster: selection::cluster(fleet, query)?.map(|cluster| cluster.id.to_string()),
            selectors: selection::label_selector(query)?.into_iter().chain(profile).collect(),
            kind,
            input: text("input"),
            principal: text("principal"),
            expired: query.parsed("expired", "must be true or false")?,
            now: time::now(),
        })
    }

    fn has_cluster(&self, fleet: &Fleet, id: &str) -> bool {
        // Of most clusters nothing has expired, and that is quickly seen.
        let may_have = |cluster: &Cluster| {
            let mut ends = cluster.expiring.iter().map(|expiry| expiry.at);
            self.expired != Some(true) || ends.any(|at| at <= self.now)
        };
        let selected = |cluster: &Cluster| {
            self.selectors.iter().all(|selector| selector.matches(|key| cluster.label(key)))
                && may_have(cluster)
        };
        self.cluster.as_ref().is_none_or(|only| only == id) && fleet.subject(id).is_some_and(selected)
    }

    fn has(&self, exception: &Exception) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == exception.kind)
            && self.input.as_ref().is_none_or(|input| *input == exception.input)
            && self.expired.is_none_or(|expired| expired == self.is_expired(exception))
    }

    fn is_by(&self, changed: &Changed) -> bool {
        self.principal.as_ref().is_none_or(|principal| changed.principal() == Some(principal))
    }

    fn is_expired(&self, exception: &Exception) -> bool {
        exception.expiry().is_some_and(|expiry| expiry.at <= self.now)
    }
}

/// One exception, without what it takes to show it: there may be very many.
struct Row {
    changed: Changed,
    cluster: Arc<str>,
    /// Which of the cluster's it is.
    at: usize,
}

struct Report {
    head: Head,
    asked: Asked,
}

impl Report {
    /// The clusters that are asked for; first those that were left alone for longest. Where there is more
    /// history than is looked at, it is their exceptions that are the oldest.
    fn clusters(&self) -> Vec<Arc<str>> {
        let fleet = &self.head.fleet;
        let written = |id: &str| fleet.get(&fleet.subject_key(id)).map(|document| document.revision());
        let asked = fleet.subjects().filter(|id| self.asked.has_cluster(fleet, id));
        let mut clusters: Vec<_> = asked.map(|id| (written(id), Arc::from(id))).collect();
        clusters.sort();
        clusters.into_iter().map(|(_, id)| id).collect()
    }

    /// The exceptions of `clusters`, and of how many versions others may be made of where there are `left`.
    async fn rows(&self, clusters: &[Arc<str>], left: usize) -> Result<(Vec<Row>, usize), ApiError> {
        let mut found = Vec::new();
        for cluster in clusters {
            let all = self.exceptions(cluster).into_iter().enumerate();
            found.extend(all.filter(|(_, one)| self.asked.has(one)).map(|(at, one)| (cluster, at, one)));
        }
        if found.is_empty() {
            return Ok((Vec::new(), left));
        }
        let mut walk = Walk::of(&*self.head.store, left);
        let fields = found.iter().map(|(_, _, exception)| (&exception.document, &exception.field));
        let authorship = Authorship::of(&self.head, &mut walk, fields).await?;
        let rows = found.iter().filter_map(|(cluster, at, exception)| {
            let changed = authorship.get(&exception.document, &exception.field)?.clone();
            Some(Row { changed, cluster: Arc::clone(cluster), at: *at })
        });
        Ok((rows.filter(|row| self.asked.is_by(&row.changed)).collect(), walk.left()))
    }

    /// Those of the cluster `id`, each at a place that it always has.
    fn exceptions(&self, id: &str) -> Vec<Exception> {
        let mut exceptions = self.head.fleet.exceptions(id);
        exceptions.sort_by(|one, other| {
            (&one.kind, &one.input, &one.path).cmp(&(&other.kind, &other.input, &other.path))
        });
        exceptions
    }

    /// Of `rows`, those from `offset` on, at most `limit`, as the answer's body.
    fn page(&self, mut rows: Vec<Row>, (offset, limit): (usize, usize)) -> Result<String, ApiError> {
        rows.sort_by(|one, other| {
            let order = |row: &Row| (row.changed.age(), Arc::clone(&row.cluster), row.at);
            order(one).cmp(&order(other))
        });
        let mut known: HashMap<Arc<str>, Vec<Exception>> = HashMap::new();
        let shown = rows.iter().skip(offset).take(limit).map(|row| {
            let of_cluster =
                known.entry(Arc::clone(&row.cluster)).or_insert_with(|| self.exceptions(&row.cluster));
            let exception =
                of_cluster.get(row.at).ok_or_else(|| ApiError::internal("an exception is gone"))?;
            let mut shown = serde_json::to_value(exception).map_err(ApiError::internal)?;
            shown["expired"] = self.asked.is_expired(exception).into();
            shown["changed"] = row.changed.shown();
            Ok(shown)
        });
        Ok(shown.collect::<Result<Value, ApiError>>()?.to_string())
    }
}
