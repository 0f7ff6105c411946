//! The fleet list: the clusters as a management plane's provider gets them.

use std::str::FromStr;

use flux_resourceset_model::{CLUSTERS, Cluster, TOMBSTONES};
use serde::Serialize;
use serde::ser::Serializer;

use crate::answer::{serialize_inputs, write};
use crate::fleet::Fleet;
use crate::{MAX_ANSWER_BYTES, MAX_INPUTS};

/// Which clusters are asked for. Only what rarely changes can be a filter: a cluster that drops out of
/// the list is deprovisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetFilter {
    /// Only clusters of this environment.
    pub environment: Option<String>,
    /// Only this share of the clusters.
    pub shard: Option<Shard>,
}

/// One of `n` shares of a fleet, written `k/n` with k from 1 to n. A cluster's share depends on its id
/// alone, by the 64-bit FNV-1a hash: it stays where it is while clusters come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    k: u64,
    n: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
        let numbers = text.split_once('/').and_then(|(k, n)| Some((digits(k)??, digits(n)??)));
        match numbers {
            Some((k, n)) if 1 <= k && k <= n => Ok(Shard { k, n }),
            _ => Err(format!("`{text}` is no shard: write k/n with k from 1 to n, as in 1/4")),
        }
    }
}

impl Shard {
    fn holds(self, id: &str) -> bool {
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash % self.n == self.k - 1
    }
}

/// Why the list is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoList {
    /// A store that never held a cluster is more likely a mistake, or half restored, than a fleet.
    #[error("this store has never held a cluster, so its list of clusters is not answered as empty")]
    NothingWritten,
    /// The environment is none of the fleet's.
    #[error("`{environment}` is not one of this fleet's environments: {}", known.join(", "))]
    UnknownEnvironment {
        /// What was asked for.
        environment: String,
        /// The fleet's own.
        known: Vec<String>,
    },
    /// An empty list would deprovision; a filter that matches nothing is taken for a mistake.
    #[error("no cluster matches this filter")]
    NoMatch,
    /// Flux would cut the list off, or refuse it.
    #[error(
        "the list has {inputs} clusters and {bytes} bytes; Flux takes {MAX_INPUTS} and {MAX_ANSWER_BYTES}: \
         split it with shard=1/{shards} to shard={shards}/{shards}, one provider each"
    )]
    TooLarge {
        /// How many clusters match.
        inputs: usize,
        /// How large the answer would be.
        bytes: usize,
        /// A number of shards that leaves room.
        shards: usize,
    },
}

/// A cluster's entry in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Listed<'a> {
    pub(crate) id: &'a str,
    pub(crate) cluster_name: &'a str,
    pub(crate) cluster_dns: &'a str,
    pub(crate) environment: &'a str,
}

impl<'a> From<&'a Cluster> for Listed<'a> {
    fn from(cluster: &'a Cluster) -> Self {
        let Cluster { id, cluster_name, cluster_dns, environment, .. } = cluster;
        Listed { id, cluster_name, cluster_dns, environment }
    }
}

struct List<'a>(&'a Fleet, &'a FleetFilter);

impl<'a> List<'a> {
    fn clusters(&self) -> impl Iterator<Item = &'a Cluster> {
        let filter = self.1;
        // What is held was not taken off the list yet.
        self.0.subjects().filter_map(|id| self.0.subject(id)).filter(move |cluster| {
            filter.environment.as_ref().is_none_or(|wanted| **wanted == *cluster.environment)
                && filter.shard.is_none_or(|shard| shard.holds(&cluster.id))
        })
    }
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_inputs(serializer, self.clusters().map(Listed::from))
    }
}

impl Fleet {
    /// Appends the list of clusters that match `filter`, ordered by id, to `out`: `{"inputs":[...]}`.
    ///
    /// # Errors
    /// Nothing is appended.
    pub fn clusters(&self, filter: &FleetFilter, out: &mut Vec<u8>) -> Result<(), NoList> {
        // A fleet whose clusters were all deleted has their tombstones.
        if self.len(CLUSTERS) == 0 && self.len(TOMBSTONES) == 0 {
            return Err(NoList::NothingWritten);
        }
        if let Some(environment) = filter.environment.as_ref()
            && !self.rules().environments.contains(environment)
        {
            let (environment, known) = (environment.clone(), self.rules().environments.clone());
            return Err(NoList::UnknownEnvironment { environment, known });
        }
        let list = List(self, filter);
        let inputs = list.clusters().count();
        if inputs == 0 && *filter != FleetFilter::default() {
            return Err(NoList::NoMatch);
        }
        let start = out.len();
        write(&list, out);
        let bytes = out.len() - start;
        if inputs > MAX_INPUTS || bytes > MAX_ANSWER_BYTES {
            out.truncate(start);
            let within = filter.shard.map_or(1, |shard| usize::try_from(shard.n).unwrap_or(usize::MAX));
            // Twice what would just do: shares differ, and fleets grow.
            let times = (inputs * 2).div_ceil(MAX_INPUTS).max((bytes * 2).div_ceil(MAX_ANSWER_BYTES));
            return Err(NoList::TooLarge { inputs, bytes, shards: within.saturating_mul(times) });
        }
        Ok(())
    }
}
