//! A long task file, read a piece at a time: whole, it takes twenty times its
//! size in memory while it is read, which the coordinator never gives back.
//!
//! Only where nothing is wrong: a piece has neither the lines nor the names of
//! the others, so whatever is wrong is found again, and told, by reading the
//! file whole. That a piece can be read by itself shows that it does not begin
//! or end inside a text or a list, where `[[task]]` is no header.

use std::collections::BTreeSet;

use crate::document::Document;
use crate::model::{Clean, TaskId};

use super::{Definition, FailureAction, Gathered, Links, TaskFile, is_built_in, limits, machines};

/// What a piece begins with.
const HEADER: &str = "[[task]]";
/// Tasks of a piece.
const TASKS: usize = 64;

/// Reads a file of more than one piece; `None`: it is short, something is wrong, or it is written in some other way.
pub(super) fn parse(text: &str, added: &BTreeSet<TaskId>) -> Option<TaskFile> {
    let mut pieces = split(text).into_iter();
    let head = pieces.next().filter(|_| pieces.len() > 1)?;
    let document = Document::parse(head).ok()?;
    let mut file = TaskFile::default();
    {
        let root = document.root();
        root.get("task").is_none().then_some(())?;
        file.limits = root.table("limits").map(limits).unwrap_or_default();
        file.machines = machines::machines(&root, &mut file.limits);
        root.finish();
    }
    good(&document)?;
    let mut gathered = Gathered::new(added);
    for piece in pieces {
        let document = Document::parse(piece).ok()?;
        {
            let root = document.root();
            for table in root.tables("task") {
                gathered.take(table);
            }
            // What the head may have is not for a piece to say.
            root.finish();
        }
        good(&document)?;
    }
    let names_no_key = gathered.keys.is_disjoint(&gathered.ids);
    let known = |machine: &Clean| file.machines.is_empty() || file.machines.contains_key(machine.as_str());
    let placed = gathered.tasks.iter().all(|task| task.machine.as_ref().is_none_or(known));
    (names_no_key && placed && is_linked(&gathered)).then_some(())?;
    file.tasks = gathered.tasks;
    Some(file)
}

fn good(document: &Document<'_>) -> Option<()> {
    (!document.has_problems()).then_some(())
}

/// What stands before the first header, and pieces that each begin with one.
fn split(text: &str) -> Vec<&str> {
    let is_header = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
    let headers = text.match_indices(HEADER).map(|(at, _)| at).filter(is_header);
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in headers.step_by(TASKS) {
        pieces.push(&text[from..at]);
        from = at;
    }
    pieces.push(&text[from..]);
    pieces
}

/// Whether all tasks that are named are there, and none starts itself in the end.
fn is_linked(gathered: &Gathered<'_>) -> bool {
    let named = |task: &Definition| -> Vec<(&'static str, TaskId)> {
        let run = match &task.failure_action {
            FailureAction::Run(target) => Some(("failure_action", target.clone())),
            FailureAction::Alert | FailureAction::Nothing => None,
        };
        task.after.iter().map(|target| ("after", target.clone())).chain(run).collect()
    };
    let mut links = None;
    let mut watched = None;
    gathered.tasks.iter().all(|task| {
        named(task).into_iter().all(|(field, target)| {
            let links = links.get_or_insert_with(|| Links::of(gathered.tasks.iter()));
            let there = gathered.ids.contains(target.as_raw()) || is_built_in(target.as_raw());
            let mut startable = || {
                field == "after"
                    || !watched.get_or_insert_with(|| super::watched(&gathered.tasks)).contains(&target)
            };
            there && links.circle(&task.id, field, &target).is_none() && startable()
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::parse_whole;
    use super::*;

    /// So many tasks, each with what `more` says of it.
    fn file(head: &str, tasks: usize, more: impl Fn(usize) -> String) -> String {
        let mut text = head.to_owned();
        for i in 0..tasks {
            writeln!(text, "[[task]]\nid = \"t{i}\"\n{}", more(i)).unwrap();
        }
        text
    }

    fn both(text: &str) -> (Option<TaskFile>, Result<TaskFile, Vec<crate::document::Problem>>) {
        let taken = std::sync::Arc::new(Definition::new("taken", super::super::Work::Watched));
        let beside = super::super::Beside { added: vec![taken], ..Default::default() };
        (parse(text, &super::super::beside::ids(&beside)), parse_whole(text, &beside))
    }

    #[test]
    fn a_long_file_reads_in_pieces_as_it_reads_whole() {
        let head = "# tasks\n[limits]\ncoordinator = 3\n[machine.db-1]\nlimit = 2\n";
        let more = |i: usize| {
            let after = if i > 0 { format!("after = [\"t{}\"]\n", i / 2) } else { String::new() };
            format!(
                "{after}team = \"x\"\nmachine = \"db-1\"\nping_key = \"key-of-pings-{i:04}\"\ncommand = [\"true\"]\n\
                 failure_action = \"run:disk-space\"\n[task.retry]\ncount = {}\n[[task.blackout]]\nfrom = \"01:00\"\nto = \"02:00\"",
                i % 9
            )
        };
        let text = file(head, 3 * TASKS + 1, more);
        let (pieces, whole) = both(&text);
        assert_eq!(pieces.unwrap(), whole.unwrap());
        assert!(both(&file(head, TASKS, more)).0.is_none(), "a short one is read whole");
    }

    /// What stands wrong anywhere is not found good because it was read in pieces.
    #[test]
    fn whatever_is_wrong_is_left_to_the_whole() {
        let long = |head: &str, what: &str| {
            file(head, 3 * TASKS, |i| if i == 2 * TASKS { what.to_owned() } else { String::new() })
        };
        for (head, what) in [
            ("", "id = \"again\""),
            ("", "[[task]]\nid = \"t3\""),
            ("", "[[task]]\nid = \"taken\""),
            ("", "colour = \"red\""),
            ("colour = \"red\"\n", ""),
            ("", "after = [\"nobody\"]\ncommand = [\"true\"]"),
            ("", "command = [\"true\"]\nfailure_action = \"run:t128\""),
            ("", "ping_key = \"a-key-of-somebody\"\n[[task]]\nid = \"a-key-of-somebody\""),
            ("", "ping_key = \"a-key-of-somebody\"\n[[task]]\nid = \"x\"\nping_key = \"a-key-of-somebody\""),
            ("[machine.db-1]\n", "machine = \"db-2\""),
            ("", "[limits]\ncoordinator = 0"),
            ("", "description = \"\"\"\n[[task]]\n\"\"\"\nx = 1"),
            ("task = []\n", ""),
            ("[task]\nid = \"x\"\n", ""),
        ] {
            let (pieces, whole) = both(&long(head, what));
            assert!(whole.is_err(), "{head:?} {what:?}");
            assert!(pieces.is_none(), "{head:?} {what:?}");
        }
        let (pieces, whole) = both(&long("", "[limits]\ncoordinator = 2"));
        assert_eq!((pieces, whole.unwrap().limits.coordinator), (None, 2), "what is right elsewhere too");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Headers inside of texts, lists and comments, at any place.
        #[test]
        fn pieces_never_say_anything_but_the_whole(
            places in proptest::collection::vec((0..3 * TASKS, 0..8_usize), 0..4),
        ) {
            let odd = [
                "description = \"\"\"\n[[task]]\nid = \\\"x\\\"\"\"\"",
                "description = '''\n[[task]]\n[[task]]'''",
                "labels = { a = '''\n[[task]]''' }",
                "command = [\n\"a\",\n\"[[task]]\"]",
                "command = [\"\"\"\n[[task]]\"\"\"]",
                "# \"\"\"\n[[task]]\nid = \"y\" # \"\"\"",
                "description = \"\"\"",
                "\"\"\"",
            ];
            let text = file("", 3 * TASKS, |i| {
                places.iter().filter(|(at, _)| *at == i).map(|(_, which)| odd[*which]).collect::<Vec<_>>().join("\n")
            });
            let (pieces, whole) = both(&text);
            if let Some(pieces) = pieces {
                prop_assert_eq!(Ok(pieces), whole);
            }
        }
    }
}
