//! The inputs of one cluster before and after, paired by id.

use flux_resourceset_model::{Cluster, ResourceType};

use crate::fleet::Fleet;
use crate::input::Input;
use crate::plan::affected::Scope;

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
    /// Ordered by id.
    pub(crate) rows: Vec<Row<'a>>,
    /// The ids that are in both answers, as they were ordered and as they will be, where that differs.
    pub(crate) reordered: Option<(Vec<&'a str>, Vec<&'a str>)>,
}

/// A cluster as it was and as it will be; never twice nothing.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) was: Option<&'a Cluster>,
    pub(crate) now: Option<&'a Cluster>,
}

impl<'a> Rows<'a> {
    /// The inputs of type `kind` in `scope` that `subject` had in `before` and has in `after`.
    pub(crate) fn of(
        fleets: (&'a Fleet, &'a Fleet),
        subject: Subject<'a>,
        kind: &'a ResourceType,
        scope: &Scope<'_>,
    ) -> Self {
        let wanted = |id: &str| scope.whole || scope.inputs.contains(&(kind.plural(), id));
        let before = by_id(fleets.0, subject.was, kind, wanted);
        let after = by_id(fleets.1, subject.now, kind, wanted);
        paired(kind.plural(), before, after)
    }
}

type Placed<'a> = (usize, Input<'a>);

/// The inputs ordered by id, each with its place in the answer.
fn by_id<'a>(
    fleet: &'a Fleet,
    cluster: Option<&'a Cluster>,
    kind: &'a ResourceType,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Placed<'a>> {
    let mut inputs: Vec<_> = cluster
        .into_iter()
        .flat_map(|cluster| fleet.inputs_where(cluster, kind, &wanted))
        .enumerate()
        .collect();
    // Stable, so that an id that was stored twice meets itself in order.
    inputs.sort_by(|(_, one), (_, other)| one.id().cmp(other.id()));
    inputs
}

fn paired<'a>(kind: &'a str, before: Vec<Placed<'a>>, after: Vec<Placed<'a>>) -> Rows<'a> {
    let mut rows = Vec::with_capacity(after.len());
    let mut stay: Vec<(usize, usize, &str)> = Vec::new();
    let mut before = before.into_iter().peekable();
    let mut after = after.into_iter().peekable();
    while let Some(id) = match (before.peek(), after.peek()) {
        (Some((_, one)), Some((_, other))) => Some(one.id().min(other.id())),
        (one, other) => one.or(other).map(|(_, input)| input.id()),
    } {
        let one = before.next_if(|(_, input)| input.id() == id);
        let other = after.next_if(|(_, input)| input.id() == id);
        if let (Some((was, _)), Some((is, _))) = (&one, &other) {
            stay.push((*was, *is, id));
        }
        let [before, after] = [one, other].map(|placed| placed.map(|(_, input)| input));
        rows.push(Row { kind, id, before, after });
    }
    Rows { rows, reordered: reordered(stay) }
}

fn reordered(mut stay: Vec<(usize, usize, &str)>) -> Option<(Vec<&str>, Vec<&str>)> {
    stay.sort_unstable();
    if stay.is_sorted_by_key(|(_, is, _)| *is) {
        return None;
    }
    let before = stay.iter().map(|(_, _, id)| *id).collect();
    stay.sort_unstable_by_key(|(_, is, _)| *is);
    Some((before, stay.iter().map(|(_, _, id)| *id).collect()))
}
