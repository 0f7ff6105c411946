//! Where two profiles of one priority say different things, so that nothing decides between them.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::{
    ComponentOverrides, ComponentReference, Layer, Overrides, PATCHES, PLATFORM_COMPONENTS, Patches, Profile,
    Reference, UNSET_PATCHES,
};
use serde_json::Value;

use crate::field::Field;
use crate::input::to_value;

/// Whether a layer refers to something or takes it out.
const EXCLUDE: &str = "exclude";

/// A field of which two profiles of one priority say different things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clash {
    /// Both, ordered by id.
    pub(crate) profiles: [String; 2],
    pub(crate) priority: i64,
    /// Where in both of them.
    pub(crate) field: Field,
    /// What each says; `None` where it takes out, or unsets, what the other sets.
    pub(crate) says: [Option<String>; 2],
    /// Whether an object of a higher layer settles it too: neither says an object.
    scalars: bool,
}

/// What a layer says, down to where it goes over lower layers whole.
#[derive(Debug, Clone, PartialEq)]
enum Words {
    Whole(Value),
    Fields(BTreeMap<String, Words>),
}

impl Words {
    /// A value that lower layers' are merged with key by key.
    fn deep(value: &Value) -> Self {
        match value {
            Value::Object(fields) => {
                Words::Fields(fields.iter().map(|(key, value)| (key.clone(), Words::deep(value))).collect())
            }
            other => Words::Whole(other.clone()),
        }
    }

    fn shown(&self) -> Option<String> {
        match self {
            Words::Whole(Value::Null) => None,
            Words::Whole(value) => Some(value.to_string()),
            Words::Fields(_) => Some("an object".into()),
        }
    }

    fn below(&self, key: &str) -> Option<&Words> {
        match self {
            Words::Whole(_) => None,
            Words::Fields(fields) => fields.get(key),
        }
    }
}

/// What lower layers come to at one place.
enum State {
    Decided,
    Fields(BTreeMap<String, State>),
    Clash(Clash),
}

/// Which profiles speak at one place, in the order of their ids, and what they say.
type Speakers<'a> = Vec<(&'a str, &'a Words)>;

/// Every field of which profiles of one priority say different things and no profile of a higher one
/// decides; `profiles` are those of one cluster, the lowest first.
pub(crate) fn clashes(profiles: &[&Profile]) -> Vec<Clash> {
    let same = |pair: &[&Profile]| pair[0].priority == pair[1].priority;
    if !profiles.windows(2).any(same) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for ((kind, id), speaking) in contested(profiles) {
        let said: Vec<_> =
            speaking.iter().filter_map(|(profile, said)| Some((*profile, said.words()?))).collect();
        let (mut state, field) = (None, Field::new([kind, id]));
        for level in said.chunk_by(|(one, _), (other, _)| one.priority == other.priority) {
            let speakers = level.iter().map(|(profile, words)| (profile.id.as_str(), words)).collect();
            let priority = level.first().map_or(0, |(profile, _)| profile.priority);
            state = Some(speak(state, &speakers, priority, &field));
        }
        state.into_iter().for_each(|state| gather(state, &mut found));
    }
    found.sort();
    found
}

/// What a layer says of one reference, or of the patches of one component.
#[derive(Clone, Copy, PartialEq)]
enum Said<'a> {
    Component(&'a ComponentReference),
    Reference(&'a Reference),
    Patches { set: Option<&'a Patches>, unset: Option<&'a BTreeSet<String>> },
}

/// By what it is said of: a type or `patches`, and an id.
type Place<'a> = (&'a str, &'a str);

/// Which profiles say what of which place, where two of one priority do not say the same.
fn contested<'a>(profiles: &[&'a Profile]) -> BTreeMap<Place<'a>, Vec<(&'a Profile, Said<'a>)>> {
    let mut speaking: BTreeMap<Place<'_>, Vec<(&Profile, Said<'_>)>> = BTreeMap::new();
    for profile in profiles {
        for (place, said) in everything_of(&profile.layer) {
            let known = speaking.entry(place).or_default();
            if known.last().is_none_or(|(last, _)| last.id != profile.id) {
                known.push((profile, said));
            }
        }
    }
    speaking.retain(|_, known| {
        known.windows(2).any(|pair| pair[0].0.priority == pair[1].0.priority && pair[0].1 != pair[1].1)
    });
    speaking
}

/// References and the patches of components; some more than once.
fn everything_of(layer: &Layer) -> impl Iterator<Item = (Place<'_>, Said<'_>)> {
    let components = layer.platform_components.iter();
    let components = components.map(|one| ((PLATFORM_COMPONENTS, &*one.id), Said::Component(one)));
    let others = layer
        .references
        .iter()
        .flat_map(|(plural, list)| list.iter().map(move |one| ((&**plural, &*one.id), Said::Reference(one))));
    let patches = layer.patches.keys().chain(layer.unset_patches.keys());
    components.chain(others).chain(patches.map(|id| ((PATCHES, &**id), patches_of(layer, id))))
}

fn patches_of<'a>(layer: &'a Layer, id: &str) -> Said<'a> {
    Said::Patches { set: layer.patches.get(id), unset: layer.unset_patches.get(id) }
}

/// What `layer` says of the reference or the patches of `id`; `None`: nothing.
fn words(layer: &Layer, kind: &str, id: &str) -> Option<Words> {
    let said = match kind {
        PATCHES => patches_of(layer, id),
        PLATFORM_COMPONENTS => Said::Component(layer.platform_components.iter().find(|one| *one.id == *id)?),
        plural => Said::Reference(layer.references.get(plural)?.iter().find(|one| *one.id == *id)?),
    };
    said.words()
}

impl Said<'_> {
    /// `None`: nothing.
    fn words(self) -> Option<Words> {
        match self {
            Said::Component(reference) => Some(Words::Fields(of_component(reference))),
            Said::Reference(reference) => Some(Words::Fields(of_reference(reference))),
            Said::Patches { set, unset } => {
                let unset = unset.into_iter().flatten().map(|key| (key.clone(), Words::Whole(Value::Null)));
                let set = set.map(Patches::to_map).into_iter().flatten();
                let set = set.map(|(key, value)| (key, Words::Whole(value.into())));
                let all: BTreeMap<_, _> = unset.chain(set).collect();
                (!all.is_empty()).then_some(Words::Fields(all))
            }
        }
    }
}

fn of_component(reference: &ComponentReference) -> BTreeMap<String, Words> {
    let ComponentOverrides { exclude, enabled, oci_tag, component_path, on_remove, release } = &**reference;
    let mut fields = BTreeMap::from([(EXCLUDE.to_owned(), Words::Whole((*exclude).into()))]);
    let mut say = |field: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (field.to_owned(), Words::Whole(value))));
    };
    say("enabled", enabled.map(Value::from));
    say("oci_tag", oci_tag.as_deref().map(Value::from));
    say("component_path", component_path.as_deref().map(Value::from));
    say("on_remove", on_remove.map(|on_remove| to_value(&on_remove)));
    if !release.is_empty() {
        fields.insert("release".into(), Words::deep(&Value::Object(release.clone())));
    }
    fields
}

fn of_reference(reference: &Reference) -> BTreeMap<String, Words> {
    let Overrides { exclude, on_remove, overrides } = &**reference;
    let mut fields: BTreeMap<_, _> =
        overrides.iter().map(|(field, value)| (field.clone(), Words::Whole(value.clone()))).collect();
    fields.insert(EXCLUDE.into(), Words::Whole((*exclude).into()));
    let on_remove = on_remove.map(|on_remove| Words::Whole(to_value(&on_remove)));
    fields.extend(on_remove.map(|said| ("on_remove".to_owned(), said)));
    fields
}

/// What a place comes to once the profiles of one priority have spoken over what is below.
fn speak(below: Option<State>, speakers: &Speakers<'_>, priority: i64, field: &Field) -> State {
    let Some((first, rest)) = speakers.split_first() else { return below.unwrap_or(State::Decided) };
    let objects = speakers.iter().filter(|(_, words)| matches!(words, Words::Fields(_))).count();
    if objects < speakers.len() {
        return match rest.iter().find(|(_, words)| *words != first.1) {
            None => State::Decided,
            Some(other) => State::Clash(Clash {
                profiles: [first.0.into(), other.0.into()],
                priority,
                field: field.clone(),
                says: [first.1.shown(), other.1.shown()],
                scalars: objects == 0,
            }),
        };
    }
    let mut states = match below {
        // An object does not decide between an object and something else: it would be merged with the one.
        Some(State::Clash(clash)) if !clash.scalars => return State::Clash(clash),
        Some(State::Fields(states)) => states,
        _ => BTreeMap::new(),
    };
    let keys = speakers.iter().filter_map(|(_, words)| match words {
        Words::Fields(fields) => Some(fields.keys()),
        Words::Whole(_) => None,
    });
    let keys: BTreeSet<&String> = keys.flatten().collect();
    for key in keys {
        let below: Speakers<'_> =
            speakers.iter().filter_map(|(id, words)| Some((*id, words.below(key)?))).collect();
        let state = speak(states.remove(key), &below, priority, &field.below(key.as_str()));
        states.insert(key.clone(), state);
    }
    State::Fields(states)
}

fn gather(state: State, found: &mut Vec<Clash>) {
    match state {
        State::Decided => {}
        State::Fields(states) => states.into_values().for_each(|state| gather(state, found)),
        State::Clash(clash) => found.push(clash),
    }
}

impl Clash {
    /// The plural of the type and the id of the input that it is about.
    pub(crate) fn input(&self) -> (&str, &str) {
        match self.field.steps() {
            [patches, id, ..] if patches == PATCHES => (PLATFORM_COMPONENTS, id),
            [plural, id, ..] => (plural, id),
            _ => ("", ""),
        }
    }

    /// Whether they disagree on whether there is such an input.
    pub(crate) fn is_about_exclusion(&self) -> bool {
        self.field.steps().get(2).is_some_and(|step| step == EXCLUDE)
            && self.input().0 == self.field.steps()[0]
    }

    /// Whether the cluster whose own layer is `own` decides itself.
    pub(crate) fn is_settled_by(&self, own: &Layer) -> bool {
        let [kind, id, rest @ ..] = self.field.steps() else { return false };
        let Some(mut words) = words(own, kind, id) else { return false };
        for step in rest {
            let Words::Fields(mut fields) = words else { return true };
            match fields.remove(step) {
                Some(below) => words = below,
                None => return false,
            }
        }
        self.scalars || matches!(words, Words::Whole(_))
    }

    /// Where it stands in the document of one of its profiles, which carries `layer`.
    pub(crate) fn pointer(&self, layer: &Layer) -> String {
        let [kind, id, rest @ ..] = self.field.steps() else { return String::new() };
        if kind == PATCHES {
            let set = |key: &String| layer.patches.get(id.as_str()).is_some_and(|set| set.get(key).is_some());
            let unset = Field::new([UNSET_PATCHES, id]);
            return format!("/{}", if rest.first().is_some_and(set) { &self.field } else { &unset });
        }
        let reference = Layer::pointer(kind, layer.position(kind, id).unwrap_or_default());
        // What is not taken out says so by being there.
        if rest.is_empty() || self.is_about_exclusion() {
            return reference;
        }
        format!("{reference}/{}", Field::new(rest))
    }

    /// What they disagree on, in one sentence without its end.
    pub(crate) fn sentence(&self) -> String {
        let [one, other] = &self.profiles;
        let priority = self.priority;
        let who = format!("the profiles {one} and {other}, both of priority {priority},");
        if self.is_about_exclusion() {
            let [kind, id] = [0, 1].map(|at| &self.field.steps()[at]);
            let (gives, takes) =
                if self.says[0].as_deref() == Some("true") { (other, one) } else { (one, other) };
            return format!("{who} disagree on {kind}/{id}: {gives} refers to it and {takes} takes it out");
        }
        let [one, other] = self.says.each_ref().map(|said| said.as_deref().unwrap_or("no value"));
        format!("{who} say different things of {}: {one} and {other}", self.field)
    }
}
