//! The language of scenario scripts: one command a line.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate::model::{Decision, Reason, parse_duration};

use super::world::{Shown, World};

/// What a script comes to.
pub(crate) struct Outcome {
    /// The script with what was decided under each command.
    pub(crate) text: String,
    /// Every decision and every memory, in full.
    pub(crate) evidence: String,
    /// Every reason that was given, also for a refusal.
    pub(crate) reasons: BTreeSet<Reason>,
}

/// Runs a script. Panics with its line where the script is wrong.
pub(crate) fn run(name: &str, text: &str) -> Outcome {
    let (spec, script) = text.split_once("\n---\n").unwrap_or_else(|| panic!("{name}: no `---`"));
    let mut runner = Runner {
        world: World::new(name, spec),
        out: Outcome { text: String::new(), evidence: String::new(), reasons: BTreeSet::new() },
        before: Vec::new(),
        alike: 0,
    };
    for line in script.lines() {
        if line.trim().is_empty() {
            continue;
        }
        runner.say(format!("> {line}"));
        if !line.starts_with('#') {
            runner.command(line).unwrap_or_else(|| panic!("{name}: cannot read `{line}`"));
        }
    }
    runner.out
}

struct Runner {
    world: World,
    out: Outcome,
    /// What was shown last, to show only what changes.
    before: Vec<Shown>,
    /// Decisions since then that were alike.
    alike: u32,
}

impl Runner {
    fn say(&mut self, line: String) {
        self.out.text.push_str(line.trim_end());
        self.out.text.push('\n');
    }

    fn command(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["tick"] => self.ticks(Duration::ZERO, 1),
            ["advance", step] => self.ticks(parse_duration(step).ok()?, 1),
            ["advance", step, times] => {
                let times = times.strip_prefix('x')?.parse().ok()?;
                self.ticks(parse_duration(step).ok()?, times);
            }
            ["trace"] => self.trace(),
            _ => self.world.command(&words)?,
        }
        Some(())
    }

    fn ticks(&mut self, step: Duration, times: u32) {
        self.before.clear();
        for _ in 0..times {
            self.world.advance(step);
            let decisions = self.world.decide();
            self.note(&decisions);
            let shown: Vec<Shown> = decisions.iter().map(Shown::of).collect();
            if self.before == shown {
                self.alike += 1;
                continue;
            }
            self.count_alike();
            let many = decisions.len() > 1;
            for decision in &decisions {
                let line = self.world.line(decision, many);
                self.say(line);
            }
            self.before = shown;
        }
        self.count_alike();
    }

    fn count_alike(&mut self) {
        match std::mem::take(&mut self.alike) {
            0 => {}
            alike => self.say(format!("  ... and {alike} more like it")),
        }
    }

    fn note(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            check(decision);
            self.out.reasons.insert(decision.reason);
            self.out.reasons.extend(decision.refused);
        }
        let evidence = format!("{decisions:?}\n{}\n", self.world.memory());
        self.out.evidence.push_str(&evidence);
    }

    fn trace(&mut self) {
        for line in self.world.trace() {
            self.say(line);
        }
    }
}

/// What holds for every decision.
fn check(decision: &Decision) {
    let decisive = &decision.trace[decision.decisive];
    assert!(decisive.reason.is_none_or(|reason| reason == decision.reason), "{decision:#?}");
    if let Some(refused) = decision.refused {
        assert!(refused.is_refusal(), "{decision:#?}");
        assert!(decision.refusal().is_some(), "{decision:#?}");
    }
}
