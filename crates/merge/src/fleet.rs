//! The Fleet: every document of one revision, with the indexes that answers and checks need.
//! It never changes; a write makes the next one, which shares what did not change.

mod layers;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use flux_resourceset_model::change::{DocumentChange, Key};
use flux_resourceset_model::{
    Body, CLUSTERS, Cluster, Component, Definition, DnsName, Expiry, FREEZES, Freeze, Layer,
    PLATFORM_COMPONENTS, PROFILES, PackedBody, Profile, RESOURCE_TYPES, Resource, ResourceType, Rules,
    SOURCES, Source, TOMBSTONES, Tombstone, Types, Violation,
};
use imbl::{OrdMap, OrdSet};
use litemap::LiteMap;

use crate::input::Target;
use crate::labels::{Labels, Selectors};
use crate::read_each::read_each;
use crate::ready::Ready;
use crate::referrers::{Number, Referrers};
use crate::stack::{Hashed, Stacks};

/// One document of a fleet.
#[derive(Debug)]
pub struct Document {
    revision: u64,
    body: PackedBody,
    resource: Resource,
    /// Of what clusters refer to and Flux gets.
    ready: Option<Box<Ready>>,
    /// Among those that refer to others.
    number: Option<Number>,
}

impl Document {
    /// The revision that wrote this body.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The body as stored: canonical JSON, an object.
    pub fn body(&self) -> Cow<'_, [u8]> {
        self.body.get(&self.resource)
    }

    /// The cluster that it is.
    fn only_cluster(&self) -> Option<&Cluster> {
        match &self.resource {
            Resource::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    /// The cluster that it is or holds.
    fn cluster(&self) -> Option<&Cluster> {
        cluster_of(&self.resource)
    }

    pub(crate) fn profile(&self) -> Option<&Profile> {
        match &self.resource {
            Resource::Profile(profile) => Some(profile),
            _ => None,
        }
    }

    pub(crate) fn component(&self) -> Option<Target<'_, Component>> {
        match &self.resource {
            Resource::Component(is) => Some(Target { is, ready: self.ready.as_deref()? }),
            _ => None,
        }
    }

    pub(crate) fn definition(&self) -> Option<Target<'_, Definition>> {
        match &self.resource {
            Resource::Definition(is) => Some(Target { is, ready: self.ready.as_deref()? }),
            _ => None,
        }
    }

    /// The body as a value.
    pub(crate) fn to_body(&self) -> Body {
        self.to_body_for(&|_| true)
    }

    /// The same for whom other fields than those `wanted` need not be there.
    pub(crate) fn to_body_for(&self, wanted: &dyn Fn(&str) -> bool) -> Body {
        self.body.to_value(&self.resource, wanted)
    }

    /// What that becomes by `rewritten`, as it is stored.
    pub(crate) fn with(&self, wanted: &dyn Fn(&str) -> bool, rewritten: &Body) -> Vec<u8> {
        self.body.with(&self.resource, wanted, rewritten)
    }

    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }
}

/// Documents that no answer may be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{document}: {reason}")]
pub struct LoadError {
    /// The document that is in the way.
    pub document: Key,
    /// What is wrong with it, in one sentence.
    pub reason: String,
}

impl LoadError {
    pub(crate) fn new(document: &Key, reason: impl Into<String>) -> Self {
        LoadError { document: document.clone(), reason: reason.into() }
    }

    pub(crate) fn unknown_type(document: &Key) -> Self {
        LoadError::new(document, "this release does not know the type; a newer one wrote it")
    }
}

/// Who polls under a DNS name.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'a> {
    Cluster(&'a Arc<Document>, &'a Cluster),
    Tombstone(&'a Tombstone),
}

impl Holder<'_> {
    pub(crate) fn id(&self) -> &str {
        match self {
            Holder::Cluster(_, cluster) => &cluster.id,
            Holder::Tombstone(tombstone) => &tombstone.id,
        }
    }

    fn key(&self) -> Key {
        let plural = if matches!(self, Holder::Cluster(..)) { CLUSTERS } else { TOMBSTONES };
        Key::new(plural, self.id())
    }
}

pub(crate) type Table = OrdMap<Arc<str>, Arc<Document>>;

/// All documents of a fleet at one revision. Immutable; a clone shares everything.
#[derive(Clone)]
pub struct Fleet {
    rules: Arc<Rules>,
    revision: u64,
    types: Types,
    /// By the plural of their type; those of no document may be left out.
    tables: BTreeMap<Arc<str>, Table>,
    /// The clusters and tombstones, by every DNS name that they hold.
    holders: Hashed<DnsName, Arc<Document>>,
    /// Which documents refer to a definition or a catalog entry.
    referrers: Referrers,
    /// Of every subject.
    labels: Labels,
    /// Of every profile.
    selectors: Selectors,
    stacks: Stacks,
    /// The subjects whose profiles may have changed since the stacks were made.
    unsettled: BTreeSet<Arc<str>>,
    /// Each reference of a subject that is meant to stand for a time only, with its subject and which of
    /// the subject's it is.
    expiring: OrdSet<(Expiry, Arc<str>, usize)>,
}

impl Fleet {
    /// A fleet into which nothing was ever written: revision 0.
    pub fn empty(rules: Rules) -> Self {
        Fleet {
            rules: Arc::new(rules),
            revision: 0,
            types: Types::built_in(),
            tables: BTreeMap::new(),
            holders: Hashed::default(),
            referrers: Referrers::default(),
            labels: Labels::default(),
            selectors: Selectors::default(),
            stacks: Stacks::default(),
            unsettled: BTreeSet::new(),
            expiring: OrdSet::new(),
        }
    }

    /// The fleet of all documents of a store at `revision`, each with the revision that wrote it.
    ///
    /// # Errors
    /// A type that this release does not know, a document that it cannot read, a dangling reference, one DNS
    /// name held twice, or profiles between which nothing decides: from such documents a wrong answer could
    /// be made, so none is made.
    pub fn load(
        rules: Rules,
        revision: u64,
        documents: impl IntoIterator<Item = (Key, u64, Vec<u8>)>,
    ) -> Result<Self, LoadError> {
        let mut fleet = Fleet::empty(rules);
        let (clusters, mut others): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|(key, ..)| matches!(key.kind.as_str(), CLUSTERS | TOMBSTONES));
        // What a document is, is said by its type; what is referred to is there to be shared; and so each
        // cluster is selected once.
        others.sort_by_key(|(key, ..)| (key.kind != RESOURCE_TYPES, key.kind == PROFILES));
        for (key, written, body) in others {
            fleet.put(&key, written, &body)?;
        }
        let types = fleet.clone();
        read_each(
            clusters,
            |(key, written, body)| types.read(&key, written, &body).map(|document| (key, document)),
            |read| read.and_then(|(key, document)| fleet.place(&key, document)),
        )?;
        fleet.revision = revision;
        fleet.settle_undisputed()?;
        if let Some(target) = fleet.referrers.targets().find(|target| fleet.get(target).is_none()) {
            return Err(fleet.dangling(target));
        }
        Ok(fleet)
    }

    /// The fleet that a change set leaves, which was committed as `revision`.
    ///
    /// # Errors
    /// As [`Fleet::load`]: this process must not follow such a change.
    pub fn apply(&self, revision: u64, documents: &[DocumentChange]) -> Result<Self, LoadError> {
        let mut next = self.clone();
        // First everything is let go, so that what one document gives up another of the same set can take.
        // A single one has nobody to give it to, and of what stays as it is nothing is made anew.
        if !matches!(documents, [DocumentChange { body: Some(_), .. }]) {
            documents.iter().for_each(|change| next.remove(&change.key));
        }
        // What a document is, is said by its type.
        let (types, others): (Vec<_>, Vec<_>) =
            documents.iter().partition(|change| change.key.kind == RESOURCE_TYPES);
        for change in types.into_iter().chain(others) {
            if let Some(body) = &change.body {
                next.put(&change.key, revision, body)?;
            }
        }
        next.settle_undisputed()?;
        next.servable(revision, documents.iter().map(|change| &change.key))
    }

    /// The same fleet as that of `revision`, if answers may be made from it: the documents `changed` leave
    /// nothing dangling, without a type or undecided.
    pub(crate) fn servable<'k>(
        mut self,
        revision: u64,
        changed: impl IntoIterator<Item = &'k Key>,
    ) -> Result<Self, LoadError> {
        for key in changed {
            self.refuse_dangling(key)?;
            self.refuse_orphans(key)?;
            if key.kind == CLUSTERS {
                self.refuse_clash(&key.id)?;
            }
        }
        self.revision = revision;
        Ok(self)
    }

    pub(crate) fn at(mut self, revision: u64) -> Self {
        self.revision = revision;
        self
    }

    /// The revision that these are the documents of; 0 before anything was written.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the fleet's owner decided about documents.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The resource types of this fleet.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// The type with this plural.
    pub fn resource_type(&self, plural: &str) -> Option<&ResourceType> {
        self.types.of(plural).map(Arc::as_ref)
    }

    /// One document.
    pub fn get(&self, key: &Key) -> Option<&Document> {
        self.tables.get(key.kind.as_str())?.get(key.id.as_str()).map(Arc::as_ref)
    }

    /// Whether there is the document `id` of the type `plural`.
    pub(crate) fn has(&self, plural: &str, id: &str) -> bool {
        self.tables.get(plural).is_some_and(|table| table.contains_key(id))
    }

    /// All documents of the type with this plural, ordered by id; none where there is no such type.
    pub fn list(&self, plural: &str) -> impl Iterator<Item = (&str, &Document)> {
        let table = self.tables.get(plural);
        table.into_iter().flat_map(Table::iter).map(|(id, document)| (&**id, document.as_ref()))
    }

    /// How many documents of the type with this plural there are.
    pub fn len(&self, plural: &str) -> usize {
        self.tables.get(plural).map_or(0, Table::len)
    }

    /// The documents that refer to `key`, ordered by type and id.
    pub fn referrers(&self, key: &Key) -> Vec<Key> {
        self.referrer_names(key).into_iter().map(|(plural, id)| Key::new(plural, id)).collect()
    }

    /// The same by their types and ids.
    pub(crate) fn referrer_names(&self, key: &Key) -> Vec<(&str, &str)> {
        self.referrers.of(key)
    }

    /// Whether a document refers to `key`.
    pub(crate) fn is_referred_to(&self, key: &Key) -> bool {
        self.referrers.is_target(key)
    }

    pub(crate) fn holder(&self, dns: &str) -> Option<Holder<'_>> {
        let document = self.holders.get(&*DnsName::comparable(dns))?;
        match &document.resource {
            Resource::Cluster(cluster) => Some(Holder::Cluster(document, cluster)),
            Resource::Tombstone(tombstone) => Some(Holder::Tombstone(tombstone)),
            _ => None,
        }
    }

    pub(crate) fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.tables.get(CLUSTERS)?.get(id)?.only_cluster()
    }

    /// The cluster `id`, or the one that its tombstone holds: what it gets, or would get once it is back.
    pub fn subject(&self, id: &str) -> Option<&Cluster> {
        self.cluster(id).or_else(|| self.tombstone(id)?.held.as_deref())
    }

    /// The document in which the [`subject`](Self::subject) `id` stands: the cluster's, or the tombstone that
    /// holds it.
    pub fn subject_key(&self, id: &str) -> Key {
        let plural = if self.cluster(id).is_some() { CLUSTERS } else { TOMBSTONES };
        Key::new(plural, id)
    }

    /// The last document of the deleted cluster `id`.
    pub fn last_of(&self, id: &str) -> Option<&Body> {
        Some(&self.tombstone(id)?.cluster)
    }

    /// The ids of every [`subject`](Self::subject), in order.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        let held = self.list(TOMBSTONES).filter(|(_, document)| document.cluster().is_some());
        let mut held = held.map(|(id, _)| id).peekable();
        let mut clusters = self.list(CLUSTERS).map(|(id, _)| id).peekable();
        // An id is a cluster's or a tombstone's, never both.
        std::iter::from_fn(move || match (clusters.peek(), held.peek()) {
            (Some(cluster), Some(other)) if other < cluster => held.next(),
            (None, _) => held.next(),
            _ => clusters.next(),
        })
    }

    /// The freezes that hold `cluster`, by id.
    pub fn freezes_of<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Freeze> {
        self.freezes().filter(|freeze| freeze.holds(cluster))
    }

    /// Every freeze, by id.
    pub fn freezes(&self) -> impl Iterator<Item = &Freeze> {
        self.list(FREEZES).filter_map(|(_, document)| match &document.resource {
            Resource::Freeze(freeze) => Some(&**freeze),
            _ => None,
        })
    }

    /// What the source of this name applied last.
    pub fn source(&self, id: &str) -> Option<&Source> {
        match &self.tables.get(SOURCES)?.get(id)?.resource {
            Resource::Source(source) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn component(&self, id: &str) -> Option<&Component> {
        self.tables.get(PLATFORM_COMPONENTS)?.get(id)?.component().map(|target| target.is)
    }

    pub(crate) fn definition(&self, plural: &str, id: &str) -> Option<&Definition> {
        self.tables.get(plural)?.get(id)?.definition().map(|target| target.is)
    }

    /// The documents of the type `plural`, by id.
    pub(crate) fn table(&self, plural: &str) -> Option<&Table> {
        self.tables.get(plural)
    }

    pub(crate) fn tombstone(&self, id: &str) -> Option<&Tombstone> {
        match &self.tables.get(TOMBSTONES)?.get(id)?.resource {
            Resource::Tombstone(tombstone) => Some(tombstone),
            _ => None,
        }
    }

    /// Who else holds the DNS name of the cluster or tombstone `key`.
    pub(crate) fn other_holder(&self, key: &Key, dns: &str) -> Option<Key> {
        self.holder(dns).map(|holder| holder.key()).filter(|holder| holder != key)
    }

    fn put(&mut self, key: &Key, revision: u64, body: &[u8]) -> Result<(), LoadError> {
        let document = self.read(key, revision, body)?;
        self.place(key, document)
    }

    /// Puts the document `key` in its place, whose body was read as `resource` already.
    pub(crate) fn put_read(
        &mut self,
        key: &Key,
        revision: u64,
        body: &[u8],
        resource: Resource,
    ) -> Result<(), LoadError> {
        let document = self.document(key, revision, body, resource)?;
        self.place(key, document)
    }

    fn place(&mut self, key: &Key, mut document: Document) -> Result<(), LoadError> {
        let table = self.tables.get_key_value(key.kind.as_str());
        let plural = table.map_or_else(|| key.kind.as_str().into(), |(plural, _)| Arc::clone(plural));
        let known = table.and_then(|(_, table)| table.get_key_value(key.id.as_str()));
        let known = known.map(|(id, document)| (Arc::clone(id), Arc::clone(document)));
        let mut id = known.as_ref().map_or_else(|| key.id.as_str().into(), |(id, _)| Arc::clone(id));
        if let Resource::Cluster(cluster) = &mut document.resource {
            self.labels.share(&mut cluster.environment, &mut cluster.labels);
            share_id(cluster, &mut id, known.is_some());
        }
        let resource = &document.resource;
        for dns in dns_of(resource) {
            if let Some(other) = self.other_holder(key, dns) {
                return Err(LoadError::new(key, format!("the DNS name {dns} is held by {other} already")));
            }
        }
        match known.as_ref().and_then(|(_, known)| Some((known.only_cluster()?, known.number))) {
            Some((was, number)) if document.only_cluster().is_some() => {
                document.number = self.index_again(&plural, &id, (was, number), &document);
            }
            _ => {
                self.remove(key);
                self.index(&id, resource);
                if let Resource::Type(definition) = resource {
                    let types = self.types.with(definition);
                    self.types = types.map_err(|error| LoadError::new(key, error.0))?;
                    self.read_again(&definition.plural)?;
                }
                let targets = references_of(&document.resource);
                document.number = self.referrers.add(&plural, &id, targets);
            }
        }
        let document = Arc::new(document);
        for dns in dns_of(&document.resource) {
            self.holders.insert(DnsName::new(dns), Arc::clone(&document));
        }
        self.tables.entry(plural).or_default().insert(id, document);
        Ok(())
    }

    /// Notes of a cluster that stands there already what it says otherwise than it `was`: most of its references
    /// stay as they are.
    fn index_again(
        &mut self,
        plural: &Arc<str>,
        id: &Arc<str>,
        (was, number): (&Cluster, Option<Number>),
        document: &Document,
    ) -> Option<Number> {
        let now = document.only_cluster()?;
        if (&was.environment, &was.labels) != (&now.environment, &now.labels) {
            self.labels.remove(id, was);
            self.labels.insert(id, now);
            self.unsettled.insert(Arc::clone(id));
        }
        if was.expiring != now.expiring {
            self.end_expiring(id, &was.expiring);
            self.note_expiring(id, &now.expiring);
        }
        let names = now.dns_names().map(DnsName::new).collect::<BTreeSet<_>>();
        for given_up in was.dns_names().map(DnsName::new).filter(|name| !names.contains(name)) {
            self.holders.remove(&given_up);
        }
        if was.layer.targets().eq(now.layer.targets()) {
            return number;
        }
        let (before, after) = (each_once(was.layer.targets()), each_once(now.layer.targets()));
        self.referrers.change(number, (plural, id), &before, after)
    }

    fn read(&self, key: &Key, revision: u64, body: &[u8]) -> Result<Document, LoadError> {
        let resource = self.type_of(key)?.read(body).map_err(|error| LoadError::new(key, error.0))?;
        self.document(key, revision, body, resource)
    }

    fn type_of(&self, key: &Key) -> Result<&ResourceType, LoadError> {
        self.resource_type(&key.kind).ok_or_else(|| LoadError::unknown_type(key))
    }

    fn document(
        &self,
        key: &Key,
        revision: u64,
        body: &[u8],
        mut resource: Resource,
    ) -> Result<Document, LoadError> {
        let kind = self.type_of(key)?;
        if let Resource::Cluster(cluster) = &mut resource {
            self.share(cluster);
        }
        let ready = match &resource {
            Resource::Component(component) => Some(Ready::component(component)),
            Resource::Definition(definition) => Some(Ready::definition(kind, definition)),
            _ => None,
        };
        // Without it the input would be missing from answers.
        let ready =
            ready.map(|ready| ready.ok_or_else(|| LoadError::new(key, "cannot be written as an input")));
        let (body, ready) = (PackedBody::of(body, &resource), ready.transpose()?.map(Box::new));
        Ok(Document { revision, body, resource, ready, number: None })
    }

    /// Makes `cluster` share with the fleet the ids of what it refers to.
    fn share(&self, cluster: &mut Cluster) {
        let layer = &mut cluster.layer;
        let share = |table: Option<&Table>, id: &mut Arc<str>| {
            if let Some((known, _)) = table.and_then(|table| table.get_key_value(&**id)) {
                *id = Arc::clone(known);
            }
        };
        let components = self.table(PLATFORM_COMPONENTS);
        layer.platform_components.iter_mut().for_each(|one| share(components, &mut one.id));
        for (plural, references) in layer.references.iter_mut() {
            let table = self.table(plural);
            references.iter_mut().for_each(|one| share(table, &mut one.id));
        }
        let mut patches: Vec<_> = std::mem::take(&mut layer.patches).into_iter().collect();
        patches.iter_mut().for_each(|(id, _)| share(components, id));
        layer.patches = LiteMap::from_sorted_store_unchecked(patches);
    }

    /// Reads every document of the type `plural`, which is another type now, anew.
    fn read_again(&mut self, plural: &str) -> Result<(), LoadError> {
        let Some(table) = self.tables.get(plural) else { return Ok(()) };
        let again = |(id, document): (&Arc<str>, &Arc<Document>)| {
            let again = self.read(&Key::new(plural, &**id), document.revision, &document.body())?;
            Ok((Arc::clone(id), Arc::new(Document { number: document.number, ..again })))
        };
        let table = table.iter().map(again).collect::<Result<Table, LoadError>>()?;
        self.tables.insert(plural.into(), table);
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        let table = self.tables.get_mut(key.kind.as_str());
        let Some(document) = table.and_then(|table| table.remove(key.id.as_str())) else { return };
        if let Resource::Type(definition) = &document.resource
            && let Ok(types) = self.types.without(&definition.plural)
        {
            self.types = types;
        }
        if let Some(cluster) = document.cluster() {
            self.labels.remove(&key.id, cluster);
            self.unsettled.insert(key.id.as_str().into());
            self.end_expiring(&key.id, &cluster.expiring);
        }
        if let Some(profile) = document.profile() {
            self.selectors.remove(&key.id, &profile.selector);
            self.unsettle(&profile.selector);
        }
        for dns in dns_of(&document.resource) {
            self.holders.remove(&DnsName::new(dns));
        }
        if let Some(number) = document.number {
            self.referrers.remove(number, &references_of(&document.resource));
        }
    }

    fn index(&mut self, id: &Arc<str>, resource: &Resource) {
        if let Resource::Profile(profile) = resource {
            self.selectors.insert(id, &profile.selector);
            self.unsettle(&profile.selector);
        }
        if let Some(cluster) = cluster_of(resource) {
            self.labels.insert(id, cluster);
            self.unsettled.insert(id.clone());
            self.note_expiring(id, &cluster.expiring);
        }
    }

    fn note_expiring(&mut self, id: &Arc<str>, expiring: &[Expiry]) {
        self.expiring.extend(expiring.iter().enumerate().map(|(at, expiry)| (*expiry, Arc::clone(id), at)));
    }

    fn end_expiring(&mut self, id: &str, expiring: &[Expiry]) {
        for (at, expiry) in expiring.iter().enumerate() {
            self.expiring.remove(&(*expiry, id.into(), at));
        }
    }

    /// Refuses a changed document that refers to what is not there, or was removed while referred to.
    fn refuse_dangling(&self, key: &Key) -> Result<(), LoadError> {
        let Some(document) = self.tables.get(key.kind.as_str()).and_then(|table| table.get(key.id.as_str()))
        else {
            return if self.is_referred_to(key) { Err(self.dangling(key)) } else { Ok(()) };
        };
        match targets_of(&document.resource).filter(|(plural, id)| !self.has(plural, id)).min() {
            Some((plural, id)) => Err(LoadError::new(key, missing(&Key::new(plural, id)))),
            None => Ok(()),
        }
    }

    /// Refuses a type that is gone while there are documents of it.
    fn refuse_orphans(&self, key: &Key) -> Result<(), LoadError> {
        let gone = key.kind == RESOURCE_TYPES && self.get(key).is_none();
        if gone && self.len(&key.id) > 0 {
            return Err(LoadError::new(key, "is gone, and there still are documents of this type"));
        }
        Ok(())
    }

    fn dangling(&self, target: &Key) -> LoadError {
        LoadError::new(self.referrers(target).first().unwrap_or(target), missing(target))
    }
}

fn missing(target: &Key) -> String {
    format!("refers to {target}, which does not exist")
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.tables.iter().map(|(plural, table)| (plural, table.len()));
        f.debug_map().entry(&"revision", &self.revision).entries(sizes).finish()
    }
}

/// The DNS names that a document holds, as written.
pub(crate) fn dns_of(resource: &Resource) -> Vec<&str> {
    match resource {
        Resource::Cluster(cluster) => cluster.dns_names().collect(),
        Resource::Tombstone(tombstone) => {
            let aliases = tombstone.aliases.iter().map(String::as_str);
            std::iter::once(tombstone.cluster_dns.as_str()).chain(aliases).collect()
        }
        _ => Vec::new(),
    }
}

/// The cluster that a document is or holds.
fn cluster_of(resource: &Resource) -> Option<&Cluster> {
    match resource {
        Resource::Cluster(cluster) => Some(cluster),
        Resource::Tombstone(tombstone) => tombstone.held.as_deref(),
        _ => None,
    }
}

/// What a document refers to, each once.
pub(crate) fn references_of(resource: &Resource) -> Vec<Key> {
    each_once(targets_of(resource))
}

/// The same as it stands there. A cluster that is held still refers.
fn targets_of(resource: &Resource) -> impl Iterator<Item = (&str, &str)> {
    let (layer, component) = match resource {
        Resource::Profile(profile) => (Some(&profile.layer), None),
        Resource::Component(component) => (None, Some(component)),
        _ => (cluster_of(resource).map(|cluster| &cluster.layer), None),
    };
    let needed = component.into_iter().flat_map(|one| one.depends_on.iter().chain(one.requires.keys()));
    let needed = needed.map(|id| (PLATFORM_COMPONENTS, id.as_str()));
    layer.into_iter().flat_map(Layer::targets).chain(needed)
}

fn each_once<'a>(targets: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Key> {
    let mut targets: Vec<_> = targets.collect();
    targets.sort_unstable();
    targets.dedup();
    targets.into_iter().map(|(plural, id)| Key::new(plural, id)).collect()
}

/// Makes `cluster`, which is called `id`, share that text: the one by which the fleet has it, or its own.
fn share_id(cluster: &mut Cluster, id: &mut Arc<str>, is_known: bool) {
    if cluster.id != *id {
        return;
    }
    if is_known {
        if cluster.cluster_name == cluster.id {
            cluster.cluster_name = Arc::clone(id);
        }
        cluster.id = Arc::clone(id);
    } else {
        *id = Arc::clone(&cluster.id);
    }
}

/// The violation of a write that would take `dns` from who has it.
pub(crate) fn dns_taken(pointer: &str, dns: &str, by: &Key) -> Violation {
    let message =
        format!("`{dns}` belongs to {by}; a DNS name never passes from one cluster to another unnoticed");
    Violation::new(pointer, "dns_taken", message)
}
