//! The table of decisions, and the parser of plans. No file system anywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{DiskFile, Input, Op, Plan, Planned, make};
use crate::path::RelPath;
use crate::tree::{Class, Kind, Target, Tree};

fn target(class: Class, text: &str) -> Target {
    Target { class, kind: Kind::File, executable: false, text: text.to_owned(), origin: "test 1".to_owned() }
}

fn plan(class: Class, base: Option<&str>, disk: Option<&str>, new: Option<&str>) -> Planned {
    let path = RelPath::parse("a/b.txt").expect("a path");
    let tree =
        |text: Option<&str>| -> Tree { text.map(|text| (path.clone(), target(class, text))).into_iter().collect() };
    let disk: BTreeMap<_, _> = disk
        .map(|text| (path.clone(), DiskFile { bytes: text.as_bytes().to_vec(), mode: 0o644 }))
        .into_iter()
        .collect();
    make(Input {
        description: "",
        template: ("test", "2"),
        previous: Some("1"),
        base: &tree(base),
        disk: &disk,
        tree: &tree(new),
    })
}

fn decided(class: Class, base: Option<&str>, disk: Option<&str>, new: Option<&str>) -> (Op, Option<String>) {
    let planned = plan(class, base, disk, new);
    let text = planned.results.values().next().map(|bytes| String::from_utf8(bytes.clone()).expect("text"));
    (planned.plan.actions[0].op, text)
}

#[test]
fn each_combination_of_base_disk_and_template_has_its_action() {
    let seeded = |base, disk, new| decided(Class::Seeded, base, disk, new).0;
    assert_eq!(seeded(None, None, Some("n\n")), Op::Create);
    assert_eq!(seeded(None, Some("d\n"), Some("n\n")), Op::Conflict);
    assert_eq!(seeded(None, Some("n\n"), Some("n\n")), Op::Keep);
    assert_eq!(seeded(Some("b\n"), None, Some("n\n")), Op::Keep, "a deletion is respected");
    assert_eq!(seeded(Some("b\n"), Some("b\n"), None), Op::Delete);
    assert_eq!(seeded(Some("b\n"), Some("d\n"), None), Op::Keep, "an edited file is not deleted");
    assert_eq!(seeded(Some("b\n"), Some("b\n"), Some("n\n")), Op::Update);
    assert_eq!(seeded(Some("b\n"), Some("d\n"), Some("b\n")), Op::Keep);
    assert_eq!(seeded(Some("b\n"), Some("d\n"), Some("n\n")), Op::Conflict);
    assert_eq!(seeded(Some("a\nb\nc\n"), Some("A\nb\nc\n"), Some("a\nb\nC\n")), Op::Merge);
    assert_eq!(decided(Class::Owned, Some("a\nb\nc\n"), Some("A\nb\nc\n"), Some("a\nb\nC\n")).0, Op::Conflict);
}

#[test]
fn line_endings_and_a_missing_last_newline_are_no_edit_and_stay() {
    assert_eq!(
        decided(Class::Seeded, Some("a\nb\n"), Some("a\r\nb\r\n"), Some("a\nb\nc\n")),
        (Op::Update, Some("a\r\nb\r\nc\r\n".to_owned()))
    );
    assert_eq!(
        decided(Class::Seeded, Some("a\nb\n"), Some("a\nb"), Some("z\na\nb\n")),
        (Op::Update, Some("z\na\nb".to_owned()))
    );
}

#[test]
fn only_the_parts_between_markers_are_replaced() {
    let file = |mine: &str, ours: &str| format!("{mine}\n// tollgate:begin r\n{ours}\n// tollgate:end r\nend\n");
    let (base, new) = (file("x", "1"), file("y", "2"));
    let region = |disk: &str| decided(Class::Region, Some(&base), Some(disk), Some(&new));
    assert_eq!(region(&file("mine", "1")), (Op::Merge, Some(file("mine", "2"))));
    assert_eq!(region(&file("mine", "edited")).0, Op::Conflict);
    assert_eq!(region("mine, and no markers\n"), (Op::Keep, None), "a region taken out stays out");
    assert_eq!(region("// tollgate:begin r\nmine\n").0, Op::Conflict);
}

#[test]
fn a_plan_that_was_edited_is_refused() {
    let text = plan(Class::Seeded, None, None, Some("n\n")).plan.render();
    assert!(Plan::parse(&text).is_ok());
    for (from, to) in [
        ("\"create\": 1", "\"create\": 2"),
        ("a/b.txt", "../b.txt"),
        ("a/b.txt", "a/c.txt"),
        ("tollgate.plan/1", "tollgate.plan/2"),
        ("0644", "0777"),
    ] {
        assert!(Plan::parse(&text.replace(from, to)).is_err(), "{from} -> {to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(150, 10_000)))]

    #[test]
    fn no_text_makes_the_plan_parser_fall_over(noise in "\\PC{0,40}", cut in 0usize..900, take in 0usize..60) {
        let text = plan(Class::Seeded, Some("b\n"), Some("b\n"), Some("n\n")).plan.render();
        let start = cut.min(text.len());
        let end = (start + take).min(text.len());
        let damaged = format!("{}{noise}{}", &text[..start], &text[end..]);
        if let Ok(plan) = Plan::parse(&damaged) {
            prop_assert_eq!(plan.render(), text, "only the plan itself may pass");
        }
    }

    #[test]
    fn no_line_of_a_user_is_lost(
        base in prop::collection::vec(0u8..6, 0..10),
        ours in prop::collection::vec(0u8..6, 0..10),
        mine in prop::collection::vec((0usize..10, 0u8..3), 0..4),
        theirs in prop::collection::vec(0u8..6, 0..10),
    ) {
        let text = |lines: &[u8]| lines.iter().map(|line| format!("line {line}\n")).collect::<String>();
        let mut edited: Vec<String> = text(&ours).lines().map(str::to_owned).collect();
        for (at, number) in mine {
            edited.insert(at.min(edited.len()), format!("mine {number}"));
        }
        let disk: String = edited.iter().map(|line| format!("{line}\n")).collect();
        let (op, result) = decided(Class::Seeded, Some(&text(&base)), Some(&disk), Some(&text(&theirs)));
        let after = match op {
            Op::Keep | Op::Conflict => disk.clone(),
            Op::Delete => String::new(),
            _ => result.unwrap_or_default(),
        };
        for line in disk.lines().filter(|line| line.starts_with("mine")) {
            let count = |text: &str| text.lines().filter(|other| *other == line).count();
            prop_assert!(count(&after) >= count(&disk), "{op:?} lost {line:?}");
        }
    }
}
