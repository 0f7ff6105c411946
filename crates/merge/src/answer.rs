//! What a cluster's poll is answered.

use flux_resourceset_model::{Cluster, Freeze, PLATFORM_COMPONENTS, ResourceType};
use serde::ser::{Serialize, Serializer};

use crate::fleet::{Fleet, Holder};
use crate::input::{ClusterBlock, Input, InputSource};
use crate::layered::{SaidPatches, alone};
use crate::stack::Stack;

/// Room for a component's patches in an answer, so that it rarely grows while it is written.
const ABOUT_PATCHES: usize = 128;
/// As many inputs as most answers have, and as many bytes as a cluster's block has.
const ABOUT_INPUTS: usize = 32;
const ABOUT_BLOCK: usize = 192;

/// A cluster, and what its profiles come to.
type WithStack<'a> = (&'a Cluster, Option<&'a Stack>);

/// Why a poll gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No cluster polls under this DNS name, nor did one that was deleted.
    #[error("no cluster has this DNS name")]
    UnknownCluster,
    /// Flux polls no such type.
    #[error("no resource type has this path")]
    UnknownType,
    /// The cluster was deleted and is held: it keeps what it has until it is restored or wiped.
    #[error("the cluster {0} was deleted and is held")]
    Held(String),
    /// The cluster keeps what it has until the freeze is lifted.
    #[error("the cluster is frozen by {freeze}: {reason}")]
    Frozen {
        /// The first freeze that holds it.
        freeze: String,
        /// Why.
        reason: String,
    },
}

impl Fleet {
    /// Appends the answer to a poll of `flux_path` by the cluster with this DNS name to `out`:
    /// `{"inputs":[...]}`, first what the cluster's profiles refer to, by priority, profile and position, then
    /// the rest in the order of the cluster's document. A wiped cluster's is empty; a held or
    /// frozen one has none.
    ///
    /// # Errors
    /// Nothing is appended.
    pub fn answer(&self, dns: &str, flux_path: &str, out: &mut Vec<u8>) -> Result<(), NoAnswer> {
        match self.asked(dns, flux_path)? {
            (Some((cluster, stack)), kind) => drop(self.write_answer(stack, cluster, kind, out)),
            (None, _) => out.extend_from_slice(br#"{"inputs":[]}"#),
        }
        Ok(())
    }

    /// The inputs of the same answer, to be walked or turned into values.
    ///
    /// # Errors
    /// As [`Fleet::answer`].
    pub fn answer_inputs(&self, dns: &str, flux_path: &str) -> Result<Vec<Input<'_>>, NoAnswer> {
        let (cluster, kind) = self.asked(dns, flux_path)?;
        let inputs = |(cluster, stack)| self.inputs_under(stack, cluster, kind);
        Ok(cluster.into_iter().flat_map(inputs).collect())
    }

    /// Whom a poll speaks of, `None` for a deleted cluster, and of which type.
    fn asked(&self, dns: &str, flux_path: &str) -> Result<(Option<WithStack<'_>>, &ResourceType), NoAnswer> {
        let holder = self.holder(dns).ok_or(NoAnswer::UnknownCluster)?;
        let kind = self.types().iter().find(|kind| kind.flux_path() == Some(flux_path));
        let kind = kind.ok_or(NoAnswer::UnknownType)?;
        match holder {
            Holder::Tombstone(tombstone) if tombstone.held.is_some() => {
                Err(NoAnswer::Held(tombstone.id.clone()))
            }
            Holder::Tombstone(_) => Ok((None, kind)),
            Holder::Cluster(document, cluster) => {
                let stack = self.stack_in(document, cluster);
                match self.freezes_of(cluster).next() {
                    Some(Freeze { id, reason, .. }) => {
                        Err(NoAnswer::Frozen { freeze: id.clone(), reason: reason.clone() })
                    }
                    None => Ok((Some((cluster, stack)), kind)),
                }
            }
        }
    }

    /// Returns of how many inputs.
    fn write_answer(
        &self,
        stack: Option<&Stack>,
        cluster: &Cluster,
        kind: &ResourceType,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut block = Vec::with_capacity(ABOUT_BLOCK);
        write(&ClusterBlock::of(cluster), &mut block);
        let mut sources = Vec::with_capacity(ABOUT_INPUTS);
        sources.extend(self.sources_under(stack, cluster, kind, |_| true));
        let about: usize = sources.iter().map(|source| source.len() + block.len() + 1).sum();
        out.reserve(about + cluster.layer.patches.len() * ABOUT_PATCHES + 16);
        let inputs = sources.len();
        out.extend_from_slice(br#"{"inputs":["#);
        for (at, source) in sources.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            source.write(&block, out);
        }
        out.extend_from_slice(b"]}");
        inputs
    }

    /// The same answer as text.
    ///
    /// # Errors
    /// As [`Fleet::answer`].
    pub fn answer_text(&self, dns: &str, flux_path: &str) -> Result<String, NoAnswer> {
        let mut out = Vec::new();
        self.answer(dns, flux_path, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// The inputs of type `kind` that `cluster` gets, in order. A reference to what does not exist is skipped.
    pub(crate) fn inputs<'a>(
        &'a self,
        cluster: &'a Cluster,
        kind: &'a ResourceType,
    ) -> impl Iterator<Item = Input<'a>> {
        self.inputs_under(self.stack(&cluster.id), cluster, kind)
    }

    /// The same of a cluster whose stack is known.
    fn inputs_under<'a>(
        &'a self,
        stack: Option<&'a Stack>,
        cluster: &'a Cluster,
        kind: &'a ResourceType,
    ) -> impl Iterator<Item = Input<'a>> {
        let sources = self.sources_under(stack, cluster, kind, |_| true);
        sources.map(move |source| source.input(cluster, kind))
    }

    /// What those inputs are made of whose ids `wanted` says.
    pub(crate) fn sources<'a>(
        &'a self,
        cluster: &'a Cluster,
        kind: &'a ResourceType,
        wanted: impl Fn(&str) -> bool + Copy,
    ) -> impl Iterator<Item = InputSource<'a>> {
        self.sources_under(self.stack(&cluster.id), cluster, kind, wanted)
    }

    fn sources_under<'a>(
        &'a self,
        stack: Option<&'a Stack>,
        cluster: &'a Cluster,
        kind: &'a ResourceType,
        wanted: impl Fn(&str) -> bool + Copy,
    ) -> impl Iterator<Item = InputSource<'a>> {
        let own = &cluster.layer;
        let is_component = kind.plural() == PLATFORM_COMPONENTS;
        let table = self.table(kind.plural());
        let target = move |id: &str| table?.get(id);
        let components = match stack.filter(|_| is_component) {
            Some(stack) => stack.components.under(&own.platform_components, wanted),
            None if is_component => alone(&own.platform_components, wanted),
            None => Vec::new(),
        };
        let components = components.into_iter().filter_map(move |said| {
            let id = &*said.top.id;
            let patches = SaidPatches {
                profiles: stack.and_then(|stack| stack.patches.get(id)),
                unset: own.unset_patches.get(id),
                own: own.patches.get(id),
            };
            Some(InputSource::Component(said, patches, target(id)?.component()?))
        });
        let references = own.references.get(kind.plural()).map_or(&[][..], Vec::as_slice);
        let definitions = match stack.and_then(|stack| stack.references.get(kind.plural())) {
            Some(given) => given.under(references, wanted),
            None => alone(references, wanted),
        };
        let definitions = definitions
            .into_iter()
            .filter_map(move |said| Some(InputSource::Definition(said, target(&said.top.id)?.definition()?)));
        components.chain(definitions)
    }

    /// The answer of type `kind` for `cluster`, and of how many inputs it is.
    pub(crate) fn full_answer(&self, cluster: &Cluster, kind: &ResourceType) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let inputs = self.write_answer(self.stack(&cluster.id), cluster, kind, &mut out);
        (out, inputs)
    }
}

/// `{"inputs":[...]}` of whatever `inputs` yields.
pub(crate) fn serialize_inputs<S, I>(serializer: S, inputs: I) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    I: Iterator<Item: Serialize>,
{
    struct Items<I>(std::cell::RefCell<Option<I>>);
    impl<I: Iterator<Item: Serialize>> Serialize for Items<I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.take().into_iter().flatten())
        }
    }
    serializer.collect_map([("inputs", Items(std::cell::RefCell::new(Some(inputs))))])
}

/// Writes `value` as JSON. Into a buffer in memory, and of maps with string keys, that cannot fail.
pub(crate) fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        debug_assert!(false, "an answer is always JSON");
        out.truncate(start);
    }
}
