//! The part of a plan that is about documents, for people: it is there where the API was given files.

use crate::error::printable;
use crate::paint::View;
use crate::plan::{Disputed, DocumentChange};
use crate::plan_text::{INDENT, counted};
use crate::unified;

/// A diff for each document; what a source owns then, in a line below them.
pub(crate) fn changed(lines: &mut Vec<String>, documents: &[DocumentChange], view: View) {
    let meant = documents.iter().filter(|document| document.is_meant());
    let (sources, others): (Vec<_>, Vec<_>) = meant.partition(|document| document.owned().is_some());
    for document in others.into_iter().chain(sources) {
        lines.extend(diff(document, view).lines().map(str::to_owned));
    }
}

/// The documents of files in which others have a say, and who.
pub(crate) fn disputed(lines: &mut Vec<String>, disputed: &[Disputed], view: View) {
    if disputed.is_empty() {
        return;
    }
    let count = counted(disputed.len() as u64, "document");
    let headline = format!("others have a say in {count}, so that `apply` needs --take:");
    lines.push(view.paint.red(&headline));
    for Disputed { document, message } in disputed {
        let name = document.as_ref().map(|document| format!("{}: ", printable(document)));
        let line = format!("{INDENT}{}{}", name.unwrap_or_default(), printable(message));
        lines.push(view.paint.red(&line));
    }
}

fn diff(document: &DocumentChange, view: View) -> String {
    let name = format!("{}/{}", document.kind, document.id);
    if let Some(owned) = document.owned() {
        let owned = counted(owned as u64, "document");
        return format!("source {} owns {owned} then\n", printable(&document.id));
    }
    let (from, to) = (format!("{name} now"), format!("{name} then"));
    unified::diff(&from, &to, &document.before, &document.after, view.paint)
}
