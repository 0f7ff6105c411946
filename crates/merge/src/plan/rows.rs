//! The inputs of one cluster before and after, paired by id.

use std::iter::Peekable;

use flux_resourceset_model::{Cluster, ResourceType};

use crate::fleet::Fleet;
use crate::input::{ClusterBlock, Input, InputSource};
use crate::scope::Scope;

/// A cluster as it was and as it will be; never twice nothing.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) was: Option<&'a Cluster>,
    pub(crate) now: Option<&'a Cluster>,
}

/// An input before and after; never twice nothing.
pub(crate) struct Row<'a> {
    /// The plural of its type.
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
    pub(crate) before: Option<Input<'a>>,
    pub(crate) after: Option<Input<'a>>,
}

/// The inputs of one type of one cluster.
pub(crate) struct Rows<'a> {
    /// Those that may differ, ordered by id.
    pub(crate) rows: Vec<Row<'a>>,
    /// The ids that are in both answers, as they were ordered and as they will be, where that differs.
    pub(crate) reordered: Option<[Vec<&'a str>; 2]>,
}

impl<'a> Rows<'a> {
    /// The inputs of one type in `scope` that `subject` had in `before` and has in `after`. One that is made
    /// of the same is left out unless it is `watched`.
    pub(crate) fn of(
        (before, after): (&'a Fleet, &'a Fleet),
        subject: Subject<'a>,
        [kind_before, kind_after]: [&'a ResourceType; 2],
        scope: &Scope<'_>,
        watched: impl Fn(&str) -> bool,
    ) -> Self {
        let same_kind = std::ptr::eq(kind_before, kind_after);
        let mut rows = Vec::new();
        let mut stay = Vec::new();
        for (was, now) in Pairs::of(
            by_id(before, subject.was, kind_before, scope),
            by_id(after, subject.now, kind_after, scope),
        ) {
            let id = was.or(now).map_or("", |(_, source)| source.id());
            if let (Some((place, one)), Some((later, other))) = (was, now) {
                stay.push((place, later, id));
                if same_kind && one.equals(other) && subject.is_called_the_same() && !watched(id) {
                    continue;
                }
            }
            let input = |cluster: Option<&'a Cluster>, placed: Option<Placed<'a>>, kind: &'a ResourceType| {
                placed.zip(cluster).map(|((_, source), cluster)| source.input(cluster, kind))
            };
            let (before, after) = (input(subject.was, was, kind_before), input(subject.now, now, kind_after));
            rows.push(Row { kind: kind_after.plural(), id, before, after });
        }
        Rows { rows, reordered: reordered(stay) }
    }
}

impl Subject<'_> {
    /// Whether what every input says of it stays.
    fn is_called_the_same(self) -> bool {
        self.was.zip(self.now).is_some_and(|(was, now)| ClusterBlock::of(was) == ClusterBlock::of(now))
    }
}

/// With its place in the answer.
type Placed<'a> = (usize, InputSource<'a>);

fn by_id<'a>(
    fleet: &'a Fleet,
    cluster: Option<&'a Cluster>,
    kind: &'a ResourceType,
    scope: &Scope<'_>,
) -> Vec<Placed<'a>> {
    let wanted = |id: &str| scope.holds(kind.plural(), id);
    let sources = cluster.into_iter().flat_map(|cluster| fleet.sources(cluster, kind, wanted));
    let mut sources: Vec<_> = sources.enumerate().collect();
    // Stable, so that an id that was stored twice meets itself in order.
    sources.sort_by(|(_, one), (_, other)| one.id().cmp(other.id()));
    sources
}

/// Goes through two lists that are ordered by id, at once.
struct Pairs<I: Iterator>(Peekable<I>, Peekable<I>);

impl<'a> Pairs<std::vec::IntoIter<Placed<'a>>> {
    fn of(before: Vec<Placed<'a>>, after: Vec<Placed<'a>>) -> Self {
        Pairs(before.into_iter().peekable(), after.into_iter().peekable())
    }
}

impl<'a, I: Iterator<Item = Placed<'a>>> Iterator for Pairs<I> {
    type Item = (Option<Placed<'a>>, Option<Placed<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        let id = |placed: Option<&Placed<'a>>| placed.map(|(_, source)| source.id());
        let first = match (id(self.0.peek()), id(self.1.peek())) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        let is_first = |(_, source): &Placed<'a>| source.id() == first;
        Some((self.0.next_if(is_first), self.1.next_if(is_first)))
    }
}

fn reordered(mut stay: Vec<(usize, usize, &str)>) -> Option<[Vec<&str>; 2]> {
    stay.sort_unstable();
    if stay.is_sorted_by_key(|(_, later, _)| *later) {
        return None;
    }
    let before = stay.iter().map(|(_, _, id)| *id).collect();
    stay.sort_unstable_by_key(|(_, later, _)| *later);
    Some([before, stay.iter().map(|(_, _, id)| *id).collect()])
}
