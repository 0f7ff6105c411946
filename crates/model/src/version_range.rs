//! Versions in their order, and ranges of them in the syntax of Go's Masterminds/semver: whether what a
//! cluster runs is what a component asks for. Apart from `version`, which judges how a version is written.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease};

/// In bytes. A range that people read is far shorter, and reading one takes time in its length.
const LONGEST_RANGE: usize = 256;

/// One version as it was written: `v1.2.3-rc.1+build`, where the `v`, the minor number, the patch number, the
/// pre-release and the build may be missing.
///
/// Two are equal where they mean the same: `v1.2` is `1.2.0+build`. Their order is SemVer's with one
/// exception. A pre-release that is one whole number is a hotfix of the release that it names, since
/// hotfixes are tagged so, and comes behind it: `1.0.0-rc.1 < 1.0.0 < 1.0.0-1 < 1.0.0-2 < 1.0.1`. The number 0
/// numbers no hotfix: `1.0.0-0` is SemVer's least pre-release, as which ranges such as `>=1.0.0-0` use it.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    place: Place,
}

/// Where something stands in the order of versions: a version, or an end of a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    core: [u64; 3],
    stage: Stage,
}

/// What the three numbers are followed by, in the order of versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Before all that has these numbers: an end of ranges, never of a version.
    Before,
    PreRelease(Prerelease),
    Release,
    Hotfix(Prerelease),
    /// Behind all that has these numbers: an end of ranges, never of a version.
    Behind,
}

impl Version {
    /// The version that `text` is. `None` for what names several or none: a range, a wildcard, `latest`, the
    /// name of a branch; and where one of its three numbers does not fit into 64 bits.
    pub fn parse(text: &str) -> Option<Version> {
        let Pattern { place, wildcard, .. } = Pattern::parse(text)?;
        (!wildcard).then(|| Version { text: text.to_owned(), place })
    }

    /// Its three numbers alone. What a distribution appends to the version of Kubernetes (`-gke.1043002`,
    /// `-eks-adc7111`, `+k0s.0`) makes it no pre-release, so that a cluster is judged by this.
    pub fn core(&self) -> Version {
        let core @ [major, minor, patch] = self.place.core;
        Version { text: format!("{major}.{minor}.{patch}"), place: Place { core, stage: Stage::Release } }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

/// A range of versions in the syntax of Masterminds/semver, which Helm's users know.
///
/// Alternatives are separated by `||`. Each is `a - b`, both ends included, or comparisons separated by
/// commas or spaces, all of which must hold: `=` (or no operator), `!=`, `>`, `<`, `>=`, `=>`, `<=`, `=<`,
/// `~`, `~>`, `^`, and a version whose last numbers may be missing or wildcards (`x`, `X`, `*`). More than
/// 256 bytes are no range.
///
/// What is left out stands for everything: `1.2` is all of 1.2.x, hence `>1.2` is `>=1.3.0`, `<=1.2` is
/// `<1.3.0` and `1.2 - 1.4` holds all of 1.4.x. `~1.2.3` goes to the end of 1.2.x, `~1` and `^1.2.3` to the
/// end of 1.x, `^0.2.3` to the end of 0.2.x, and `^0.0.3` is 0.0.3 alone. `*` holds every version.
///
/// What a range refuses must be predictable by whoever wrote it, so that it differs from Masterminds' in
/// how it judges what follows the three numbers:
///
/// - A hotfix is the release that it fixes. Whatever is said of 1.2.3 is said of 1.2.3-1 too: `=1.2.3` and
///   `<=1.2.3` hold it, `!=1.2.3` and `>1.2.3` do not. `=1.2.3-1` is that hotfix alone.
/// - Any other pre-release is judged by its place in the order. It needs no mention in the range:
///   `>=1.2` holds 1.3.0-rc.1. (Masterminds' would not.)
/// - But whoever writes `<2.0.0` wants nothing of 2.0.0. Where a bound names no pre-release, `<` and `!=`
///   refuse the pre-releases of what they exclude, and a range that ends with 1.x, such as `^1.2`, refuses
///   2.0.0-rc.1. `<2.0.0-rc.2` holds 2.0.0-rc.1.
/// - `>=1.2.3-0` begins with the first pre-release of 1.2.3, and `>=1.2-0` with that of 1.2.0, as in Helm.
///
/// Two ranges are equal where they are written alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    text: String,
    /// One of these must hold: all comparisons of one.
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparison {
    Within(Interval),
    Outside(Interval),
}

type Interval = (Bound<Place>, Bound<Place>);

/// Where a text stops being a range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {expected}")]
pub struct VersionRangeError {
    /// The character at which it is wrong, counted from 1.
    pub position: usize,
    /// What could stand there, in words.
    pub expected: String,
}

impl VersionRange {
    /// Whether `version` is in it. A version of Kubernetes is judged by its [`Version::core`].
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|comparison| comparison.holds(&version.place)))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Comparison {
    fn holds(&self, place: &Place) -> bool {
        match self {
            Comparison::Within(interval) => interval.contains(place),
            Comparison::Outside(interval) => !interval.contains(place),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// Those that begin with another stand before it.
const OPERATORS: [(&str, Operator); 11] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

impl Operator {
    fn applied_to(self, pattern: &Pattern) -> Comparison {
        use Bound::{Excluded, Included, Unbounded};
        use Comparison::{Outside, Within};
        match self {
            Operator::Equal => Within((Included(pattern.first()), Included(pattern.last()))),
            Operator::NotEqual => Outside((Included(pattern.before()), Included(pattern.last()))),
            Operator::Greater => Within((pattern.behind(), Unbounded)),
            Operator::GreaterOrEqual => Within((Included(pattern.first()), Unbounded)),
            Operator::Less => Within((Unbounded, Excluded(pattern.before()))),
            Operator::LessOrEqual => Within((Unbounded, Included(pattern.last()))),
            Operator::Tilde => {
                Within((Included(pattern.first()), Included(pattern.end(pattern.precision.min(2)))))
            }
            Operator::Caret => {
                Within((Included(pattern.first()), Included(pattern.end(pattern.compatible()))))
            }
        }
    }
}

/// A version as ranges write it, which stands for all that agree with it in the numbers that it gives.
struct Pattern {
    /// With 0 for the numbers that it does not give.
    place: Place,
    /// How many of the three numbers it gives.
    precision: usize,
    wildcard: bool,
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = cut(text, '+');
        let (core, pre_release) = cut(text, '-');
        if build.is_some_and(|build| build.is_empty() || BuildMetadata::new(build).is_err()) {
            return None;
        }
        let stage = pre_release.map_or(Some(Stage::Release), Stage::parse)?;
        let parts: Vec<_> = core.split('.').collect();
        let is_wildcard = |part: &&str| matches!(*part, "x" | "X" | "*");
        let precision = parts.iter().position(is_wildcard).unwrap_or(parts.len());
        let (given, wildcards) = parts.split_at(precision);
        if parts.len() > 3 || !wildcards.iter().all(is_wildcard) {
            return None;
        }
        let mut core = [0; 3];
        for (number, part) in core.iter_mut().zip(given) {
            *number = parse_number(part)?;
        }
        Some(Pattern { place: Place { core, stage }, precision, wildcard: !wildcards.is_empty() })
    }

    fn names_pre_release(&self) -> bool {
        self.place.stage != Stage::Release
    }

    /// Before all that `<` and `!=` refuse.
    fn before(&self) -> Place {
        if self.names_pre_release() {
            return self.place.clone();
        }
        Place { core: self.place.core, stage: Stage::Before }
    }

    /// The first that it stands for.
    fn first(&self) -> Place {
        if self.precision == 0 { self.before() } else { self.place.clone() }
    }

    /// The last that it stands for.
    fn last(&self) -> Place {
        if self.precision == 3 && self.names_pre_release() {
            return self.place.clone();
        }
        self.end(self.precision)
    }

    /// Behind all that agree with it in the first `count` numbers.
    fn end(&self, count: usize) -> Place {
        let mut core = self.place.core;
        core.iter_mut().skip(count).for_each(|number| *number = u64::MAX);
        Place { core, stage: Stage::Behind }
    }

    /// Where `>` begins: `>1.2` with 1.3.0, not with 1.3.0-rc.1, as `>=1.3.0` does.
    fn behind(&self) -> Bound<Place> {
        let partial = self.precision < 3 && !self.names_pre_release();
        match self.next().filter(|_| partial) {
            Some(core) => Bound::Included(Place { core, stage: Stage::Release }),
            None => Bound::Excluded(self.last()),
        }
    }

    /// Its numbers, the last that it gives raised by one; `None` where there is none to raise.
    fn next(&self) -> Option<[u64; 3]> {
        let mut core = self.place.core;
        let last = core[..self.precision].last_mut()?;
        *last = last.checked_add(1)?;
        Some(core)
    }

    /// How many of its numbers say what is compatible with it: up to the first that is not 0.
    fn compatible(&self) -> usize {
        let leading = self.place.core.iter().take_while(|number| **number == 0).count();
        (leading + 1).min(self.precision)
    }
}

impl Stage {
    /// Of what stands behind the hyphen.
    fn parse(text: &str) -> Option<Stage> {
        let pre_release = Prerelease::new(text).ok().filter(|pre_release| !pre_release.is_empty())?;
        let hotfix = text != "0" && text.bytes().all(|byte| byte.is_ascii_digit());
        Some(if hotfix { Stage::Hotfix(pre_release) } else { Stage::PreRelease(pre_release) })
    }
}

/// `u64`'s own parser takes a sign too.
fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What stands before the first `sign`, and what behind it where there is one.
fn cut(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

impl FromStr for VersionRange {
    type Err = VersionRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { text, at: 0 };
        reader.check_length()?;
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(reader.alternative()?);
            if !reader.take("||") {
                return Ok(VersionRange { text: text.to_owned(), alternatives });
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// Whether there were any.
    fn skip_spaces(&mut self) -> bool {
        let spaces = self.rest().len() - self.rest().trim_start().len();
        self.at += spaces;
        spaces > 0
    }

    /// Whether the alternative ends here.
    fn at_end(&self) -> bool {
        self.rest().is_empty() || self.rest().starts_with("||")
    }

    fn wrong(&self, at: usize, expected: impl Into<String>) -> VersionRangeError {
        VersionRangeError { position: self.text[..at].chars().count() + 1, expected: expected.into() }
    }

    fn check_length(&self) -> Result<(), VersionRangeError> {
        let end = |(at, c): (usize, char)| at + c.len_utf8();
        let fits = self.text.char_indices().map(end).take_while(|end| *end <= LONGEST_RANGE).last();
        match fits {
            Some(fits) if fits < self.text.len() => {
                Err(self.wrong(fits, format!("a range has at most {LONGEST_RANGE} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn alternative(&mut self) -> Result<Vec<Comparison>, VersionRangeError> {
        self.skip_spaces();
        let alternative = self.rest().split("||").next().unwrap_or_default();
        if alternative.split_whitespace().any(|word| word == "-") {
            self.hyphen_range()
        } else {
            self.comparisons()
        }
    }

    fn hyphen_range(&mut self) -> Result<Vec<Comparison>, VersionRangeError> {
        let from = self.pattern()?;
        if !self.skip_spaces() || !self.take("-") || !self.skip_spaces() {
            return Err(self.wrong(self.at, "expected ` - ` and the version up to which it goes"));
        }
        let to = self.pattern()?;
        self.skip_spaces();
        if !self.at_end() {
            return Err(self.wrong(self.at, "expected `||` or the end"));
        }
        Ok(vec![Operator::GreaterOrEqual.applied_to(&from), Operator::LessOrEqual.applied_to(&to)])
    }

    fn comparisons(&mut self) -> Result<Vec<Comparison>, VersionRangeError> {
        let mut comparisons = Vec::new();
        loop {
            comparisons.push(self.comparison()?);
            let spaces = self.skip_spaces();
            if self.at_end() {
                return Ok(comparisons);
            }
            if !self.take(",") && !spaces {
                return Err(self.wrong(self.at, "expected a comma, a space, `||` or the end"));
            }
            self.skip_spaces();
        }
    }

    fn comparison(&mut self) -> Result<Comparison, VersionRangeError> {
        let operator = OPERATORS.iter().find(|(sign, _)| self.take(sign));
        self.skip_spaces();
        let pattern = self.pattern()?;
        Ok(operator.map_or(Operator::Equal, |(_, operator)| *operator).applied_to(&pattern))
    }

    fn pattern(&mut self) -> Result<Pattern, VersionRangeError> {
        let start = self.at;
        let ends = |c: char| c.is_whitespace() || ",|=!><~^".contains(c);
        let word = self.rest().split(ends).next().unwrap_or_default();
        if word.is_empty() {
            return Err(self.wrong(start, "expected a version: 1.2.3, 1.2, 1.x or *"));
        }
        self.at += word.len();
        Pattern::parse(word)
            .ok_or_else(|| self.wrong(start, format!("`{word}` is no version: write 1.2.3, 1.2, 1.x or *")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is no version"))
    }

    fn range(text: &str) -> VersionRange {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let range = range(text);
        for one in inside {
            assert!(range.contains(&version(one)), "`{text}` must contain {one}");
        }
        for one in outside {
            assert!(!range.contains(&version(one)), "`{text}` must not contain {one}");
        }
    }

    #[test]
    fn what_is_a_version() {
        for text in [
            "1",
            "v1.2",
            "1.2.3",
            "01.2.3",
            "v1.2.3-rc.1+build.05",
            "1.2-rc",
            "1.2.3-1",
            "1.2.3--",
            "1.2.3+k0s.0",
            "0.0.18446744073709551615",
            "v1.28.3-eks-adc7111",
        ] {
            assert_eq!(version(text).to_string(), text);
        }
        for text in [
            "",
            "v",
            "vv1",
            "V1",
            "latest",
            "main",
            "*",
            "1.x",
            "1.2.*",
            ">=1",
            "=1.2.3",
            "1 || 2",
            " 1",
            "1 ",
            "1.2.3.4",
            "1..2",
            "1.",
            "+1",
            "-1",
            "1.+2",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3-rc_1",
            "1.2.3+",
            "1.2.3+a+b",
            "1.2.3+a..b",
            "18446744073709551616",
            "1.2.99999999999999999999",
            "١.٢.٣",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_hotfix_comes_behind_its_release() {
        let ordered = [
            "0.9",
            "1.0.0-0",
            "1.0.0-1.1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-99999999999999999999",
            "1.0.1-rc.1",
            "1.0.1",
            "1.1",
            "2",
        ];
        let versions = ordered.map(version);
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        for equal in ["v1", "1.0", "1.0.0+build", "v1.0.0"] {
            assert_eq!(version(equal), version("1.0.0"), "{equal}");
        }
    }

    #[test]
    fn what_a_distribution_appends_is_not_of_the_core() {
        for text in ["v1.28.3-gke.1043002", "v1.28.3+k0s.0", "v1.28.3-eks-adc7111", "1.28.3-1"] {
            assert_eq!(version(text).core().to_string(), "1.28.3");
            check(">=1.28.3 <1.28.4", &[&version(text).core().to_string()], &[]);
        }
        assert_eq!(version("v1.28-gke").core().to_string(), "1.28.0");
    }

    #[test]
    fn a_full_version_stands_for_its_hotfixes() {
        for equal in ["1.2.3", "=1.2.3", "= v1.2.3+build"] {
            check(equal, &["1.2.3", "v1.2.3+k", "1.2.3-1"], &["1.2.3-rc.1", "1.2.3-0", "1.2.4", "1.2.2-1"]);
        }
        check("!=1.2.3", &["1.2.2-1", "1.2.4-rc.1", "1.2.4"], &["1.2.3", "1.2.3-1", "1.2.3-rc.1", "1.2.3-0"]);
        check(">1.2.3", &["1.2.4-rc.1", "1.2.4"], &["1.2.3", "1.2.3-1", "1.2.3-rc.1"]);
        check(">=1.2.3", &["1.2.3", "1.2.3-1", "1.2.4-rc.1", "2"], &["1.2.3-rc.1", "1.2.2-1"]);
        check("<1.2.3", &["1.2.2-1", "1.2.2", "0.1-rc.1"], &["1.2.3", "1.2.3-rc.1", "1.2.3-0", "1.2.3-1"]);
        check("<=1.2.3", &["1.2.3", "1.2.3-1", "1.2.3-rc.1"], &["1.2.4-rc.1", "1.2.4"]);
    }

    #[test]
    fn a_pre_release_or_hotfix_that_is_named_stands_for_itself() {
        check("=1.2.3-1", &["1.2.3-1", "v1.2.3-1+b"], &["1.2.3", "1.2.3-2", "1.2.3-rc.1"]);
        check("!=1.2.3-1", &["1.2.3", "1.2.3-2", "1.2.3-rc.1"], &["1.2.3-1"]);
        check(">1.2.3-1", &["1.2.3-2", "1.2.4"], &["1.2.3-1", "1.2.3"]);
        check("<=1.2.3-1", &["1.2.3-1", "1.2.3", "1.2.3-rc.1"], &["1.2.3-2"]);
        check("<2.0.0-rc.2", &["2.0.0-rc.1", "1.9"], &["2.0.0-rc.2", "2.0.0"]);
        check(">=1.2.3-0", &["1.2.3-0", "1.2.3-rc.1", "1.2.3", "1.2.3-1"], &["1.2.2-1"]);
        check(">=1.28-0", &["1.28.0-rc.1", "1.28", "1.29.0-rc.1"], &["1.27.9"]);
        check("<2-0", &["1.9.9", "1.9.9-1"], &["2.0.0-0", "2.0.0-rc.1", "2"]);
        check("1.2-0", &["1.2.0-rc.1", "1.2.0", "1.2.9-1"], &["1.1.9", "1.3.0-rc.1"]);
        check("*-0", &["0.0.0-0", "0.0.0-rc.1", "9-rc.1"], &[]);
        check("~1.2.3-rc.2", &["1.2.3-rc.2", "1.2.9"], &["1.2.3-rc.1", "1.3.0-rc.3"]);
        check("^1.2.3-rc.2", &["1.2.3-rc.2", "1.9"], &["1.2.3-rc.1", "2.0.0-rc.3"]);
    }

    #[test]
    fn a_partial_version_stands_for_all_that_it_leaves_out() {
        for equal in ["1.2", "=1.2", "v1.2.x", "1.2.X", "1.2.*", "~1.2", "~> 1.2.x"] {
            check(equal, &["1.2", "1.2.9-1", "1.2.5-rc.1"], &["1.1.9", "1.2.0-rc.1", "1.3.0-rc.1", "1.3"]);
        }
        check("!=1.2", &["1.1.9-1", "1.3.0", "1.3.0-rc.1"], &["1.2.0-rc.1", "1.2.0", "1.2.9-1"]);
        check(">1.2", &["1.3", "1.3.1-rc.1", "2.0.0-rc.1"], &["1.2", "1.2.9-1", "1.3.0-rc.1"]);
        check("<=1.2", &["1.2.9-1", "1.2.0-rc.1", "0.1"], &["1.3.0-rc.1", "1.3"]);
        check(">=1.2", &["1.2", "1.3.0-rc.1", "2"], &["1.1.9", "1.2.0-rc.1"]);
        check("<1.2", &["1.1.9-1", "1.1.9"], &["1.2.0-rc.1", "1.2"]);
        for equal in ["1", "~1", "^1", "1.x.x", "1.x"] {
            check(equal, &["1", "1.9.9-1", "1.5.0-rc.1"], &["0.9", "1.0.0-rc.1", "2.0.0-rc.1", "2"]);
        }
        for all in ["*", "x", "X.X.X", "=*", ">=*", "<=*", "~*", "^*", "* - *"] {
            check(all, &["0.0.0-0", "0", "1.2.3-rc.1", "18446744073709551615.0.0"], &[]);
        }
        for none in [">*", "<*", "!=*", ">18446744073709551615"] {
            check(none, &[], &["0.0.0-0", "0", "1.2.3-1", "18446744073709551615.2.3-1"]);
        }
        check(">1.18446744073709551615", &["2"], &["1.18446744073709551615.7"]);
    }

    #[test]
    fn tilde_and_caret() {
        check("~1.2.3", &["1.2.3", "1.2.3-1", "1.2.9"], &["1.2.2", "1.2.3-rc.1", "1.3.0-rc.1", "1.3"]);
        check("~0.0.0", &["0.0.0", "0.0.9"], &["0.1"]);
        check("^1.2.3", &["1.2.3", "1.2.3-1", "1.9"], &["1.2.2", "1.2.3-rc.1", "2.0.0-rc.1", "2"]);
        check("^1.2.x", &["1.2", "1.9"], &["1.1", "2.0.0-rc.1"]);
        check("^0.2.3", &["0.2.3", "0.2.9-1"], &["0.2.2", "0.3.0-rc.1", "1.2.3"]);
        check("^0.2", &["0.2", "0.2.9"], &["0.1", "0.3.0-rc.1"]);
        check("^0.0.3", &["0.0.3", "0.0.3-1"], &["0.0.2", "0.0.3-rc.1", "0.0.4-rc.1", "0.0.4"]);
        check("^0.0.0", &["0.0.0", "0.0.0-1"], &["0.0.1"]);
        check("^0.0", &["0.0.0", "0.0.9"], &["0.1.0-rc.1", "0.1"]);
        check("^0", &["0", "0.9"], &["1.0.0-rc.1", "1"]);
        check("^1.0.0", &["1", "1.9"], &["2"]);
    }

    #[test]
    fn ranges_are_put_together() {
        for both in [">=1.12 <2", ">=1.12,<2", " => 1.12 , < 2 ", ">=\t1.12\t<2", "< 2 >= 1.12"] {
            check(both, &["1.12", "1.99.0-1"], &["1.11.9", "2.0.0-rc.1", "2"]);
        }
        check("1.2 - 1.4", &["1.2", "1.4.9-1"], &["1.1.9", "1.2.0-rc.1", "1.5.0-rc.1", "1.5"]);
        check(" v1.2.3  -  1.4.5 ", &["1.2.3", "1.4.5-1"], &["1.2.2", "1.4.6"]);
        check("<1||>=2 <3 || 5 - 6", &["0.9", "2.5", "6.9"], &["1", "3", "4", "7"]);
        check(">2 <1", &[], &["0", "1", "1.5", "2", "3"]);
        check(">=1.2.3-alpha-beta <1.2.3", &[], &["1.2.3-alpha-beta", "1.2.3-rc"]);
    }

    #[test]
    fn says_where_it_is_wrong() {
        let wrong = |text: &str| text.parse::<VersionRange>().unwrap_err().to_string();
        insta::assert_snapshot!([
            "", "  ", "latest", ">=", ">= <2", "==1", "> =1", "1.2.3.4", ">=1,", ",1", "1,,2", "1 ||", "|| 1", "1 | 2",
            ">=1<2", ">=1 - 2", "1 - ", "1 - 2, 3", "1 - 2 - 3", "1 -2", "1- 2", "1, - 2", "1.x.3", "~ é", "é, 1",
            "1.2.3-01", ">=18446744073709551616", "!1", "1 || 2 3-",
        ].map(|text| format!("`{text}`  {}", wrong(text))).join("\n"), @"
        ``  at character 1: expected a version: 1.2.3, 1.2, 1.x or *
        `  `  at character 3: expected a version: 1.2.3, 1.2, 1.x or *
        `latest`  at character 1: `latest` is no version: write 1.2.3, 1.2, 1.x or *
        `>=`  at character 3: expected a version: 1.2.3, 1.2, 1.x or *
        `>= <2`  at character 4: expected a version: 1.2.3, 1.2, 1.x or *
        `==1`  at character 2: expected a version: 1.2.3, 1.2, 1.x or *
        `> =1`  at character 3: expected a version: 1.2.3, 1.2, 1.x or *
        `1.2.3.4`  at character 1: `1.2.3.4` is no version: write 1.2.3, 1.2, 1.x or *
        `>=1,`  at character 5: expected a version: 1.2.3, 1.2, 1.x or *
        `,1`  at character 1: expected a version: 1.2.3, 1.2, 1.x or *
        `1,,2`  at character 3: expected a version: 1.2.3, 1.2, 1.x or *
        `1 ||`  at character 5: expected a version: 1.2.3, 1.2, 1.x or *
        `|| 1`  at character 1: expected a version: 1.2.3, 1.2, 1.x or *
        `1 | 2`  at character 3: expected a version: 1.2.3, 1.2, 1.x or *
        `>=1<2`  at character 4: expected a comma, a space, `||` or the end
        `>=1 - 2`  at character 1: expected a version: 1.2.3, 1.2, 1.x or *
        `1 - `  at character 5: expected a version: 1.2.3, 1.2, 1.x or *
        `1 - 2, 3`  at character 6: expected `||` or the end
        `1 - 2 - 3`  at character 7: expected `||` or the end
        `1 -2`  at character 3: `-2` is no version: write 1.2.3, 1.2, 1.x or *
        `1- 2`  at character 1: `1-` is no version: write 1.2.3, 1.2, 1.x or *
        `1, - 2`  at character 2: expected ` - ` and the version up to which it goes
        `1.x.3`  at character 1: `1.x.3` is no version: write 1.2.3, 1.2, 1.x or *
        `~ é`  at character 3: `é` is no version: write 1.2.3, 1.2, 1.x or *
        `é, 1`  at character 1: `é` is no version: write 1.2.3, 1.2, 1.x or *
        `1.2.3-01`  at character 1: `1.2.3-01` is no version: write 1.2.3, 1.2, 1.x or *
        `>=18446744073709551616`  at character 3: `18446744073709551616` is no version: write 1.2.3, 1.2, 1.x or *
        `!1`  at character 1: expected a version: 1.2.3, 1.2, 1.x or *
        `1 || 2 3-`  at character 8: `3-` is no version: write 1.2.3, 1.2, 1.x or *
        ");
    }

    #[test]
    fn a_range_has_at_most_256_bytes() {
        let padded = |count: usize| format!("1{}", " ".repeat(count - 1)).parse::<VersionRange>();
        assert!(padded(256).is_ok());
        let error = padded(257).unwrap_err();
        assert_eq!(error.to_string(), "at character 257: a range has at most 256 bytes");
        assert_eq!("é".repeat(129).parse::<VersionRange>().unwrap_err().position, 129);
        assert_eq!(format!("1{}", "é".repeat(200)).parse::<VersionRange>().unwrap_err().position, 129);
    }

    /// What may follow the numbers, in the order of versions.
    const SUFFIXES: [&str; 9] = ["-0", "-alpha", "-rc.1", "-rc.2", "-rc.10", "", "-1", "-2", "-10"];
    const RELEASE: usize = 5;

    /// A version known by its numbers and the place of its suffix among [`SUFFIXES`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Known {
        core: [u64; 3],
        suffix: usize,
    }

    impl Known {
        fn text(self) -> String {
            let [major, minor, patch] = self.core;
            format!("{major}.{minor}.{patch}{}", SUFFIXES[self.suffix])
        }

        fn version(self) -> Version {
            version(&self.text())
        }

        /// What a bound means by it: itself, or where it names no pre-release all of the release.
        fn means(self, other: Known) -> bool {
            other == self || (self.suffix == RELEASE && other.core == self.core && other.suffix > RELEASE)
        }

        fn pre_release_of(self, bound: Known) -> bool {
            bound.suffix == RELEASE && self.core == bound.core && self.suffix < RELEASE
        }

        fn contained(self, range: &str) -> bool {
            self::range(range).contains(&self.version())
        }
    }

    fn known() -> impl Strategy<Value = Known> {
        (prop::array::uniform3(0..4u64), 0..SUFFIXES.len()).prop_map(|(core, suffix)| Known { core, suffix })
    }

    fn spelling() -> impl Strategy<Value = (&'static str, &'static str)> {
        (select(vec!["", "v"]), select(vec!["", "+b", "+a.7"]))
    }

    fn simple_range() -> impl Strategy<Value = String> {
        let operators = vec!["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"];
        let number = || select(vec!["0", "1", "2", "3"]);
        let pattern = (number(), number(), number(), 0..6usize, 0..SUFFIXES.len()).prop_map(
            |(major, minor, patch, form, suffix)| match form {
                0 => major.into(),
                1 => format!("{major}.{minor}"),
                2 => format!("{major}.{minor}.x"),
                3 => "*".into(),
                _ => format!("{major}.{minor}.{patch}{}", SUFFIXES[suffix]),
            },
        );
        (select(operators), pattern).prop_map(|(operator, pattern)| format!("{operator}{pattern}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_order_is_total(a in known(), b in known(), c in known(), (v, build) in spelling()) {
            let respelled = version(&format!("{v}{}{build}", b.text()));
            prop_assert_eq!(a.version().cmp(&respelled), a.cmp(&b));
            prop_assert_eq!(a.version() == respelled, a == b);
            prop_assert_eq!(a.version().cmp(&respelled), respelled.cmp(&a.version()).reverse());
            let mut versions = [a.version(), respelled, c.version()];
            versions.sort();
            prop_assert!(versions[0] <= versions[1] && versions[1] <= versions[2] && versions[0] <= versions[2]);
        }

        #[test]
        fn a_comparison_is_the_order_but_for_hotfixes_and_pre_releases(a in known(), bound in known()) {
            let of = |operator: &str| a.contained(&format!("{operator}{}", bound.text()));
            prop_assert_eq!(of("="), bound.means(a));
            prop_assert_eq!(of(""), bound.means(a));
            prop_assert_eq!(of("!="), !bound.means(a) && !a.pre_release_of(bound));
            prop_assert_eq!(of(">="), a >= bound);
            prop_assert_eq!(of("=>"), a >= bound);
            prop_assert_eq!(of(">"), a > bound && !bound.means(a));
            prop_assert_eq!(of("<="), a <= bound || bound.means(a));
            prop_assert_eq!(of("=<"), a <= bound || bound.means(a));
            prop_assert_eq!(of("<"), a < bound && !a.pre_release_of(bound));
            prop_assert_eq!(of("!="), of("<") || of(">"));
        }

        #[test]
        fn a_partial_version_is_what_its_full_ones_say(a in known(), major in 0..4u64, minor in 0..4u64) {
            let line = a.core[0] == major && a.core[1] == minor;
            let same = |partial: String, full: String| {
                prop_assert_eq!(a.contained(&partial), a.contained(&full), "{} and {}", partial, full);
                Ok(())
            };
            for x in ["", ".x", ".X", ".*"] {
                let partial = format!("{major}.{minor}{x}");
                let (from, to) = (format!("{major}.{minor}.0"), format!("{major}.{}.0", minor + 1));
                same(format!("={partial}"), format!(">={from} <{to}"))?;
                same(format!("~{partial}"), format!(">={from} <{to}"))?;
                same(format!(">{partial}"), format!(">={to}"))?;
                same(format!(">={partial}"), format!(">={from}"))?;
                same(format!("<{partial}"), format!("<{from}"))?;
                same(format!("<={partial}"), format!("<{to}"))?;
                prop_assert_eq!(a.contained(&format!("!={partial}")), !line);
            }
            let (from, to) = (format!("{major}.0.0"), format!("{}.0.0", major + 1));
            for x in ["", ".x", ".x.*"] {
                for operator in ["", "=", "~", "~>", "^"] {
                    same(format!("{operator}{major}{x}"), format!(">={from},<{to}"))?;
                }
                same(format!(">{major}{x}"), format!(">={to}"))?;
                same(format!("<={major}{x}"), format!("<{to}"))?;
                prop_assert_eq!(a.contained(&format!("!={major}{x}")), a.core[0] != major);
            }
        }

        #[test]
        fn tilde_caret_and_hyphen_are_two_comparisons(a in known(), from in known(), to in known()) {
            let [major, minor, patch] = from.core;
            let least = a >= from;
            prop_assert_eq!(a.contained(&format!("~{}", from.text())), least && a.core[..2] == from.core[..2]);
            let compatible = match (major, minor) {
                (0, 0) => a.core == [0, 0, patch],
                (0, _) => a.core[..2] == [0, minor],
                _ => a.core[0] == major,
            };
            prop_assert_eq!(a.contained(&format!("^{}", from.text())), least && compatible);
            let hyphen = format!("{} - {}", from.text(), to.text());
            prop_assert_eq!(a.contained(&hyphen), a.contained(&format!(">={} <={}", from.text(), to.text())));
        }

        #[test]
        fn alternatives_are_or_and_commas_are_and(a in known(), one in simple_range(), two in simple_range()) {
            let (first, second) = (a.contained(&one), a.contained(&two));
            prop_assert_eq!(a.contained(&format!("{one}||{two}")), first || second);
            prop_assert_eq!(a.contained(&format!("{one} || {two}")), first || second);
            prop_assert_eq!(a.contained(&format!("{one},{two}")), first && second);
            prop_assert_eq!(a.contained(&format!("{one} {two}")), first && second);
            let mixed = format!("{one},{two}||{two}");
            prop_assert_eq!(a.contained(&mixed), second);
        }

        #[test]
        fn is_written_as_it_was_read(one in simple_range(), two in simple_range(), a in known()) {
            let text = format!(" {one} ,{two}||  {two} ");
            prop_assert_eq!(range(&text).to_string(), text.clone());
            prop_assert_eq!(range(&range(&text).to_string()), range(&text));
            prop_assert_eq!(Version::parse(&a.version().to_string()), Some(a.version()));
        }

        #[test]
        fn any_text_is_read_or_refused_where_it_is(
            text in prop_oneof![any::<String>(), "[0-9xXv*.,|<>=!~^ +é-]{0,24}", ".{200,300}"],
        ) {
            let _ = Version::parse(&text);
            if let Err(error) = text.parse::<VersionRange>() {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.position));
            }
        }

        #[test]
        fn a_version_is_a_range_that_holds_it(a in known(), (v, build) in spelling()) {
            let range = format!("{v}{}{build}", a.text());
            prop_assert!(a.contained(&range));
        }
    }
}
