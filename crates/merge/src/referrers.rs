//! Who refers to what. Nearly every cluster refers to nearly every definition, so referrers are numbered, and
//! those of one definition are bits.

use std::sync::Arc;

use flux_resourceset_model::change::Key;
use imbl::{OrdMap, Vector};

/// A document that refers to others, for as long as it is among the [`Referrers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u32);

/// The plural of its type, and its id.
type Name = (Arc<str>, Arc<str>);

/// The documents that refer to others.
#[derive(Clone, Default)]
pub(crate) struct Referrers {
    names: Vector<Option<Name>>,
    /// Numbers of documents that are gone.
    free: Vector<u32>,
    by_target: OrdMap<Key, Numbers>,
}

/// Numbers, 64 to an entry.
#[derive(Clone)]
struct Numbers(OrdMap<u32, u64>);

impl Referrers {
    /// Notes that the document `id` of the type `plural`, which is not among them, refers to `targets`; `None`
    /// where that is nothing.
    pub(crate) fn add(&mut self, plural: &Arc<str>, id: &Arc<str>, targets: Vec<Key>) -> Option<Number> {
        if targets.is_empty() {
            return None;
        }
        let name = Some((Arc::clone(plural), Arc::clone(id)));
        let number = match self.free.pop_back() {
            Some(number) => {
                self.names.set(number as usize, name);
                number
            }
            None => {
                self.names.push_back(name);
                // A fleet of four thousand million documents fits into no memory.
                u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
            }
        };
        targets.into_iter().for_each(|target| self.refer(number, target));
        Some(Number(number))
    }

    /// Notes that the document `number`, which refers to `before`, refers to `after` instead; both are sorted.
    /// Its number from then on.
    pub(crate) fn change(
        &mut self,
        number: Option<Number>,
        (plural, id): (&Arc<str>, &Arc<str>),
        before: &[Key],
        after: Vec<Key>,
    ) -> Option<Number> {
        let Some(known) = number else { return self.add(plural, id, after) };
        if after.is_empty() {
            self.remove(known, before);
            return None;
        }
        let given_up = before.iter().filter(|target| after.binary_search(target).is_err());
        self.leave(known, given_up);
        let taken_up = after.into_iter().filter(|target| before.binary_search(target).is_err());
        taken_up.for_each(|target| self.refer(known.0, target));
        number
    }

    /// Looks once, where an entry of the map looks twice: a start does this for every reference of the fleet.
    fn refer(&mut self, number: u32, target: Key) {
        match self.by_target.get_mut(&target) {
            Some(numbers) => numbers.insert(number),
            None => drop(self.by_target.insert(target, Numbers::of(number))),
        }
    }

    /// Lets go the document `number`, which refers to `targets`.
    pub(crate) fn remove(&mut self, number: Number, targets: &[Key]) {
        self.names.set(number.0 as usize, None);
        self.free.push_back(number.0);
        self.leave(number, targets);
    }

    fn leave<'k>(&mut self, Number(number): Number, targets: impl IntoIterator<Item = &'k Key>) {
        for target in targets {
            let left = self.by_target.get_mut(target).map(|numbers| {
                numbers.remove(number);
                numbers.0.len()
            });
            if left == Some(0) {
                self.by_target.remove(target);
            }
        }
    }

    /// The types and the ids of the documents that refer to `target`, in this order.
    pub(crate) fn of(&self, target: &Key) -> Vec<(&str, &str)> {
        let numbers = self.by_target.get(target).into_iter().flat_map(Numbers::iter);
        let mut names: Vec<&Name> = numbers.filter_map(|number| self.name(number)).collect();
        names.sort_unstable();
        names.into_iter().map(|(plural, id)| (&**plural, &**id)).collect()
    }

    pub(crate) fn is_target(&self, target: &Key) -> bool {
        self.by_target.contains_key(target)
    }

    /// Everything that is referred to.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Key> {
        self.by_target.keys()
    }

    fn name(&self, number: u32) -> Option<&Name> {
        self.names.get(number as usize)?.as_ref()
    }
}

impl Numbers {
    fn of(number: u32) -> Self {
        Numbers(OrdMap::unit(number / 64, 1 << (number % 64)))
    }

    fn insert(&mut self, number: u32) {
        let bit = 1 << (number % 64);
        match self.0.get_mut(&(number / 64)) {
            Some(bits) => *bits |= bit,
            None => drop(self.0.insert(number / 64, bit)),
        }
    }

    fn remove(&mut self, number: u32) {
        let left = self.0.get_mut(&(number / 64)).map(|bits| {
            *bits &= !(1 << (number % 64));
            *bits
        });
        if left == Some(0) {
            self.0.remove(&(number / 64));
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(at, bits)| {
            (0..64).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        })
    }
}
