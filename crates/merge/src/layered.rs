//! What a cluster's profiles say of an input and what the cluster says over it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use flux_resourceset_model::{ComponentOverrides, ComponentReference, Overrides, Patches, Reference};

use crate::release::merge_release;

/// A reference as a layer has it.
pub(crate) trait Layered: Clone + PartialEq {
    /// The id of what it refers to.
    fn id(&self) -> &str;
    /// Whether it takes out what lower layers refer to.
    fn excludes(&self) -> bool;
    /// It, over the one of a lower layer: field by field what is said here wins.
    fn over(&self, below: &Self) -> Self;
}

impl Layered for ComponentReference {
    fn id(&self) -> &str {
        &self.id
    }

    fn excludes(&self) -> bool {
        self.exclude
    }

    fn over(&self, below: &Self) -> Self {
        // Taken apart whole, so that a field which is added cannot be forgotten here.
        let ComponentOverrides { exclude, enabled, oci_tag, component_path, on_remove, release } = &**self;
        let said = ComponentOverrides {
            exclude: *exclude,
            enabled: enabled.or(below.enabled),
            oci_tag: oci_tag.as_ref().or(below.oci_tag.as_ref()).cloned(),
            component_path: component_path.as_ref().or(below.component_path.as_ref()).cloned(),
            on_remove: on_remove.or(below.on_remove),
            release: merge_release(&below.release, release),
        };
        ComponentReference::new(Arc::clone(&self.id), said)
    }
}

impl Layered for Reference {
    fn id(&self) -> &str {
        &self.id
    }

    fn excludes(&self) -> bool {
        self.exclude
    }

    fn over(&self, below: &Self) -> Self {
        let Overrides { exclude, on_remove, overrides } = &**self;
        let mut merged = below.overrides.clone();
        merged.extend(overrides.iter().map(|(field, value)| (field.clone(), value.clone())));
        let said =
            Overrides { exclude: *exclude, on_remove: on_remove.or(below.on_remove), overrides: merged };
        Reference::new(Arc::clone(&self.id), said)
    }
}

/// What is said of one input: by the cluster over its profiles, or by one of the two alone.
#[derive(Debug)]
pub(crate) struct Said<'a, R> {
    pub(crate) top: &'a R,
    pub(crate) below: Option<&'a R>,
}

impl<R> Clone for Said<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Said<'_, R> {}

impl<'a, R: Layered> Said<'a, R> {
    /// By one layer alone.
    pub(crate) fn of(top: &'a R) -> Self {
        Said { top, below: None }
    }

    /// What the highest layer that says something says of a field.
    pub(crate) fn highest<T>(self, field: impl Fn(&'a R) -> Option<T>) -> Option<T> {
        field(self.top).or_else(|| self.below.and_then(field))
    }

    /// Whether both say the same; two revisions of a fleet share what did not change between them.
    pub(crate) fn equals(self, other: Self) -> bool {
        let same = |one: &R, other: &R| std::ptr::eq(one, other) || one == other;
        same(self.top, other.top)
            && match (self.below, other.below) {
                (Some(one), Some(other)) => same(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }

    /// One reference that says the same.
    pub(crate) fn merged(self) -> Cow<'a, R> {
        self.below.map_or(Cow::Borrowed(self.top), |below| Cow::Owned(self.top.over(below)))
    }
}

/// What a list of layers comes to for one type.
#[derive(Debug, Clone)]
pub(crate) struct Given<R> {
    /// In the order in which they are answered; last what no layer refers to without taking it out.
    items: Vec<Item<R>>,
    /// Places in `items`, ordered by id.
    by_id: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Item<R> {
    reference: R,
    /// Whether some layer refers to it: it stands where it stood first.
    placed: bool,
}

impl<R> Default for Given<R> {
    fn default() -> Self {
        Given { items: Vec::new(), by_id: Vec::new() }
    }
}

impl<R: Layered> Given<R> {
    /// Of `layers`, the lowest first.
    pub(crate) fn of<'a>(layers: impl IntoIterator<Item = &'a [R]>) -> Self
    where
        R: 'a,
    {
        let mut merged: Vec<Item<R>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut order = Vec::new();
        for reference in layers.into_iter().flatten() {
            let place = *places.entry(reference.id()).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(item) => item.reference = reference.over(&item.reference),
                None => merged.push(Item { reference: reference.clone(), placed: false }),
            }
            let item = &mut merged[place];
            if !item.placed && !reference.excludes() {
                item.placed = true;
                order.push(place);
            }
        }
        order.extend((0..merged.len()).filter(|place| !merged[*place].placed));
        let mut merged: Vec<_> = merged.into_iter().map(Some).collect();
        let items: Vec<Item<R>> = order.into_iter().filter_map(|place| merged[place].take()).collect();
        let mut by_id: Vec<u32> = (0_u32..).take(items.len()).collect();
        by_id.sort_by(|one, other| {
            let id = |at: &u32| items[*at as usize].reference.id();
            id(one).cmp(id(other))
        });
        Given { items, by_id }
    }

    fn find(&self, id: &str) -> Option<usize> {
        let item = |at: &u32| &self.items[*at as usize];
        let found = self.by_id.binary_search_by(|at| item(at).reference.id().cmp(id)).ok()?;
        Some(self.by_id[found] as usize)
    }

    /// What they say of `id`.
    pub(crate) fn get(&self, id: &str) -> Option<&R> {
        Some(&self.items[self.find(id)?].reference)
    }

    /// What a cluster that says `own` over this gets, in order.
    pub(crate) fn under<'a>(&'a self, own: &'a [R], wanted: impl Fn(&str) -> bool) -> Vec<Said<'a, R>> {
        let mut over = vec![None; if own.is_empty() { 0 } else { self.items.len() }];
        let mut appended = Vec::new();
        for reference in own.iter().filter(|reference| wanted(reference.id())) {
            let place = self.find(reference.id());
            if let Some(place) = place {
                over[place] = Some(reference);
            }
            if place.is_none_or(|place| !self.items[place].placed) {
                let below = place.map(|place| &self.items[place].reference);
                appended.push(Said { top: reference, below });
            }
        }
        let given = self.items.iter().enumerate().filter(|(_, item)| item.placed);
        let given = given.filter(|(_, item)| wanted(item.reference.id())).map(|(at, item)| {
            match over.get(at).copied().flatten() {
                Some(own) => Said { top: own, below: Some(&item.reference) },
                None => Said::of(&item.reference),
            }
        });
        let mut said = Vec::with_capacity(self.items.len() + appended.len());
        said.extend(given.chain(appended).filter(|said| !said.top.excludes()));
        said
    }
}

/// What a cluster without profiles gets.
pub(crate) fn alone<R: Layered>(own: &[R], wanted: impl Fn(&str) -> bool) -> Vec<Said<'_, R>> {
    let mut said = Vec::with_capacity(own.len());
    said.extend(own.iter().filter(|reference| wanted(reference.id()) && !reference.excludes()).map(Said::of));
    said
}

/// The patches of one component: what profiles come to, and the cluster's own word over it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SaidPatches<'a> {
    pub(crate) profiles: Option<&'a Patches>,
    pub(crate) unset: Option<&'a BTreeSet<String>>,
    pub(crate) own: Option<&'a Patches>,
}

static NO_PATCHES: LazyLock<Patches> = LazyLock::new(Patches::default);

impl<'a> SaidPatches<'a> {
    pub(crate) fn merged(self) -> Cow<'a, Patches> {
        let Some(profiles) = self.profiles.filter(|profiles| !profiles.is_empty()) else {
            return Cow::Borrowed(self.own.unwrap_or_else(|| &NO_PATCHES));
        };
        if self.own.is_none_or(Patches::is_empty) && self.unset.is_none_or(BTreeSet::is_empty) {
            return Cow::Borrowed(profiles);
        }
        let mut merged = profiles.to_map();
        over(&mut merged, self.unset, self.own);
        Cow::Owned(Patches::from(&merged))
    }

    /// Whether anything is said, be it that nothing holds.
    pub(crate) fn is_said(self) -> bool {
        self.own.is_some() || self.profiles.is_some()
    }

    /// Whether both say the same.
    pub(crate) fn equals(self, other: Self) -> bool {
        fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => std::ptr::eq(one, other) || one == other,
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        same(self.profiles, other.profiles) && same(self.unset, other.unset) && same(self.own, other.own)
    }
}

/// Puts what a layer says of one component's patches over those of the lower ones.
pub(crate) fn over(
    patches: &mut BTreeMap<String, String>,
    unset: Option<&BTreeSet<String>>,
    set: Option<&Patches>,
) {
    for key in unset.into_iter().flatten() {
        patches.remove(key);
    }
    patches.extend(set.map(Patches::to_map).into_iter().flatten());
}
