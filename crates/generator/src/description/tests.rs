//! What a description may say, and how it is told what it may not.

use proptest::prelude::*;

use super::{Description, EXAMPLE, Wrong, check_project_name};

fn wrong(text: &str) -> Wrong {
    Description::parse(text).expect_err("this description is wrong")
}

fn with(entities: &str) -> String {
    format!("format = \"tollgate.app/1\"\n[app]\ntitle = \"A\"\n{entities}")
}

#[test]
fn the_example_is_a_working_description() {
    let app = Description::parse(EXAMPLE).expect("the example works");
    let names: Vec<_> = app.entities.iter().map(|entity| entity.name.as_str()).collect();
    assert_eq!(names, ["project", "task"]);
    let columns: Vec<_> = app.entities[1].fields.iter().map(|field| field.column.as_str()).collect();
    assert_eq!(columns, ["title", "done", "estimate", "due_at", "project_id"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let error = wrong(&with("colour = \"red\""));
    assert_eq!(error.line, 4);
    assert!(error.what.contains("colour"), "{error}");
}

#[test]
fn a_reserved_word_is_refused_with_its_line_and_a_way_out() {
    let error = wrong(&with("[entities.note.fields]\ntitle = \"string\"\nselect = \"string\""));
    assert_eq!(error.line, 6);
    assert!(error.fix.contains("select_item"), "{error}");
}

#[test]
fn names_that_are_paths_or_taken_are_refused() {
    for name in ["\"../x\"", "\"a/b\"", "\"a.b\"", "user", "organizations", "\"Äpfel\"", "class", "_x", "x__y"] {
        let error = wrong(&with(&format!("[entities.{name}.fields]\ntitle = \"string\"")));
        assert_eq!(error.line, 4, "{name}");
    }
    for name in ["..", "a/b", "/a", "", "A", "a b", ".hidden", "-x", "fn", "con"] {
        assert!(check_project_name(name).is_err(), "{name}");
    }
}

#[test]
fn a_relation_needs_its_entity_and_no_circle() {
    let error = wrong(&with("[entities.note.fields]\nboard = \"ref:board\""));
    assert!(error.fix.contains("[entities.board]"), "{error}");
    let error = wrong(&with("[entities.a1.fields]\nb = \"ref:b1\"\n[entities.b1.fields]\na = \"ref:a1\""));
    assert!(error.what.contains("circle"), "{error}");
}

#[test]
fn types_and_roles_are_told_when_unknown() {
    let error = wrong(&with("[entities.note.fields]\ntitle = \"varchar\""));
    assert_eq!(error.line, 5);
    assert!(error.fix.contains("string, text"), "{error}");
    let error = wrong(&with("[entities.note]\nwrite = [\"boss\"]\n[entities.note.fields]\ntitle = \"string\""));
    assert_eq!((error.line, error.fix.contains("owner")), (5, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_parser_fall_over(text in "\\PC{0,200}", cut in 0usize..700) {
        let _told = Description::parse(&text);
        let cut = EXAMPLE.char_indices().nth(cut).map_or(EXAMPLE.len(), |(at, _)| at);
        let _told = Description::parse(&format!("{}{text}{}", &EXAMPLE[..cut], &EXAMPLE[cut..]));
    }
}
