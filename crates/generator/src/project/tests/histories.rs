//! Random histories: whatever people, templates and crashes do, no line of a user is lost.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::transaction::crash;
use super::super::{Error, Resolution, resolve, undo};
use super::{Demo, description, template};

/// Something that happens to a project.
#[derive(Clone, Debug)]
enum Event {
    /// A line of the user's own, put at a place of a file.
    Edit {
        file: usize,
        at: usize,
    },
    Delete {
        file: usize,
    },
    Describe {
        fields: usize,
        tags: bool,
    },
    Upgrade {
        second: bool,
    },
    Apply,
    Kill {
        steps: usize,
    },
    Undo,
    Resolve {
        how: usize,
    },
}

const FILES: [&str; 5] = ["README.md", "src/routes.txt", "src/models/note.txt", "run.sh", "src/removed.txt"];

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..FILES.len(), 0usize..8).prop_map(|(file, at)| Event::Edit { file, at }),
        1 => (0..FILES.len()).prop_map(|file| Event::Delete { file }),
        2 => (1usize..4, any::<bool>()).prop_map(|(fields, tags)| Event::Describe { fields, tags }),
        2 => any::<bool>().prop_map(|second| Event::Upgrade { second }),
        3 => Just(Event::Apply),
        2 => (0usize..40).prop_map(|steps| Event::Kill { steps }),
        1 => Just(Event::Undo),
        1 => (0usize..2).prop_map(|how| Event::Resolve { how }),
    ]
}

/// A project and what its user would be angry to lose: the file of every line they wrote.
struct History {
    demo: Demo,
    mine: BTreeMap<String, &'static str>,
    second: bool,
    number: usize,
}

impl History {
    fn happen(&mut self, event: &Event) {
        match event {
            Event::Edit { file, at } => self.edit(FILES[*file], *at),
            Event::Delete { file } => {
                if fs::remove_file(self.demo.at(FILES[*file])).is_ok() {
                    self.mine.retain(|_, place| place != &FILES[*file]);
                }
            }
            Event::Describe { fields, tags } => {
                let names = ["title", "body", "colour", "shape"];
                let mut entities = vec![("note", &names[..*fields])];
                if *tags {
                    entities.push(("tag", &names[..1]));
                }
                self.tolerate(self.demo.generate(Some(&description(&entities)), self.second).map(drop));
            }
            Event::Upgrade { second } => {
                self.second = *second;
                self.tolerate(self.demo.generate(None, *second).map(drop));
            }
            Event::Apply => self.apply_twice(),
            Event::Kill { steps } => {
                crash::after(Some(*steps));
                let _killed = self.demo.apply(self.second);
                crash::after(None);
            }
            Event::Undo => self.tolerate(undo(&self.demo.project).map(drop)),
            Event::Resolve { how } => {
                let how = [Resolution::Ours, Resolution::Merged][*how];
                self.tolerate(resolve(&self.demo.project, &[template(self.second)], "c1", how).map(drop));
            }
        }
    }

    fn edit(&mut self, file: &'static str, at: usize) {
        let Ok(text) = fs::read_to_string(self.demo.at(file)) else { return };
        self.number += 1;
        let line = format!("mine {}", self.number);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(at.min(lines.len()), &line);
        self.demo.write(file, &format!("{}\n", lines.join("\n")));
        self.mine.insert(line, file);
    }

    fn apply_twice(&self) {
        let Ok(_) = self.demo.apply(self.second) else { return };
        let once = self.demo.all();
        self.demo.apply(self.second).expect("what was applied can be applied");
        assert_eq!(self.demo.all(), once, "a second apply changes nothing");
    }

    /// Refusals are answers; a disk that fails is not.
    fn tolerate(&self, outcome: Result<(), Error>) {
        if let Err(error @ (Error::Disk(..) | Error::Description(_))) = outcome {
            panic!("{error}");
        }
    }

    fn nothing_is_lost(&self, after: &Event) {
        for (line, file) in &self.mine {
            let kept = fs::read_to_string(self.demo.at(file)).unwrap_or_default();
            assert!(kept.lines().any(|one| one == line), "{after:?} lost {line:?} of {file}:\n{kept}");
        }
    }
}

/// What a history came to.
struct Ended {
    bytes: Vec<(String, Vec<u8>)>,
    lines: usize,
}

fn run(events: &[Event]) -> Ended {
    let mut history = History { demo: Demo::started(), mine: BTreeMap::new(), second: false, number: 0 };
    for event in events {
        history.happen(event);
        history.nothing_is_lost(event);
    }
    Ended { bytes: history.demo.all(), lines: history.number }
}

#[test]
fn no_history_loses_a_line_and_the_same_history_gives_the_same_bytes() {
    let cases = crate::cases(40, 1_000);
    let config =
        ProptestConfig { max_shrink_iters: 200, source_file: Some(file!()), ..ProptestConfig::with_cases(cases) };
    let counts = Cell::new((0, 0, 0));
    let ran = TestRunner::new(config).run(&prop::collection::vec(event(), 1..14), |events| {
        let once = run(&events);
        prop_assert_eq!(run(&events).bytes, once.bytes);
        let killed = events.iter().filter(|event| matches!(event, Event::Kill { .. })).count();
        let (all, kills, lines) = counts.get();
        counts.set((all + events.len(), kills + killed, lines + once.lines));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    let (happened, kills, lines) = counts.get();
    println!(
        "PROOF: regeneration, random histories: {cases} histories of {happened} events, {kills} kills among them, {lines} lines of a user, none lost; a second apply changed nothing, the same history gave the same bytes"
    );
}
