//! A controller of the real binary on a repository of the test forge.

use tidegate::model::CommitId;

use crate::support::controller::{Bench, Controller};
use crate::support::github::{BOT, Forge, Proposal};
use crate::support::infra::Infra;

/// The file of the spec.
pub(super) const SPEC: &str = "controller/spec.yaml";

/// A forge, and what a controller needs to work with it.
pub(super) struct Scene {
    pub(super) forge: Forge,
    pub(super) bench: Bench,
}

impl Scene {
    /// A scene with a fake world and a token; `rules` are further keys of `forge:`, each with a comma after it.
    pub(super) fn new(rules: &str) -> Self {
        Self::with(Forge::start(), rules)
    }

    /// A scene of this forge.
    pub(super) fn with(forge: Forge, rules: &str) -> Self {
        let bench = Bench::on_forge(Infra::fake, &forge);
        bench.set_env("FORGE_TOKEN", &forge.token);
        let scene = Self { forge, bench };
        scene.configure(rules, "{tokenRef: env/FORGE_TOKEN}");
        scene
    }

    /// Writes the configuration anew.
    pub(super) fn configure(&self, rules: &str, credentials: &str) {
        let config = format!(
            "{}forge: {{repo: {}, apiUrl: \"{}\", pollInterval: 1s, {rules} credentials: {credentials}}}\n",
            self.bench.config(),
            self.forge.full_name(),
            self.forge.api_url(),
        );
        self.bench.write_config(&config);
    }

    /// Commits a spec to the base branch, by nobody's pull request.
    pub(super) fn push(&self, services: &[(&str, u32, &str)]) -> CommitId {
        let spec = self.bench.spec(services);
        self.forge.push_to("main", &[(SPEC, Some(spec.as_bytes()))], "acme")
    }

    /// Opens a pull request that gives the spec these services.
    pub(super) fn open(&self, title: &str, services: &[(&str, u32, &str)]) -> u64 {
        self.open_text(title, &self.bench.spec(services))
    }

    /// Opens a pull request that gives the spec this text.
    pub(super) fn open_text(&self, title: &str, spec: &str) -> u64 {
        self.forge.open(&Proposal {
            title,
            files: &[(SPEC, Some(spec.as_bytes()))],
            ..Proposal::default()
        })
    }

    /// Starts the controller, and waits until the spec in force is applied.
    pub(super) fn run(&self) -> Controller {
        let mut controller = self.bench.run();
        let head = self.forge.head_of("main");
        controller.wait("the first apply", || {
            self.bench.status().is_some_and(|status| status.applied_commit == Some(head.clone()))
        });
        controller
    }

    /// The only comment of a pull request; none where there is none.
    #[track_caller]
    pub(super) fn comment(&self, number: u64) -> Option<String> {
        let comments = self.forge.comments(number);
        let ours: Vec<_> = comments.iter().filter(|c| c.body.contains("tidegate:pull:")).collect();
        assert!(ours.len() < 2, "{ours:#?}");
        ours.first().map(|comment| comment.body.clone())
    }

    /// Waits until the comment of a pull request has this text.
    #[track_caller]
    pub(super) fn wait_for_comment(&self, controller: &mut Controller, number: u64, text: &str) {
        controller.wait(&format!("a comment on #{number} with {text:?}"), || {
            self.comment(number).is_some_and(|comment| comment.contains(text))
        });
    }

    /// Waits until a check on a commit is in this state, and gives its description.
    #[track_caller]
    pub(super) fn wait_for_check(
        &self,
        controller: &mut Controller,
        commit: &CommitId,
        context: &str,
        state: &str,
    ) -> String {
        controller.wait(&format!("{context} of {commit} to be {state}"), || {
            self.forge.status(commit, context).is_some_and(|(found, _)| found == state)
        });
        self.forge.status(commit, context).unwrap().1
    }

    /// Waits for some further rounds of the controller at the forge, in which it may do what it should not.
    #[track_caller]
    pub(super) fn let_rounds_pass(&self, controller: &mut Controller, rounds: usize) {
        let polls = || {
            let requests = self.forge.requests();
            requests.iter().filter(|r| r.operation == "get /repos/{owner}/{repo}/pulls").count()
        };
        let before = polls();
        controller.wait("further rounds at the forge", || polls() >= before + rounds);
    }

    /// Writes the configuration anew, with the metric source `script` in it.
    pub(super) fn configure_with_script(&self) {
        self.configure("", "{tokenRef: env/FORGE_TOKEN}");
        let path = self.bench.path("tidegate.yaml");
        let config = std::fs::read_to_string(path).unwrap();
        self.bench.write_config(&format!("{config}{}", crate::support::load::script(&self.bench)));
    }
}

impl Scene {
    /// Opens a pull request that gives the spec these services, and waits until its plan is said in full.
    #[track_caller]
    pub(super) fn planned(
        &self,
        controller: &mut Controller,
        title: &str,
        services: &[(&str, u32, &str)],
    ) -> u64 {
        let number = self.open(title, services);
        self.wait_for_plan(controller, number);
        number
    }

    /// Waits until the head of a pull request has a plan, and the plan its green check.
    #[track_caller]
    pub(super) fn wait_for_plan(&self, controller: &mut Controller, number: u64) {
        let head = self.forge.pull(number).head;
        self.wait_for_check(controller, &head, "tidegate/plan", "success");
    }

    /// Waits until a merge is applied: the comment says as which commit, and the check of the commit is green.
    #[track_caller]
    pub(super) fn wait_for_applied(
        &self,
        controller: &mut Controller,
        number: u64,
        merge: &CommitId,
    ) -> String {
        self.wait_for_comment(controller, number, "### Applied");
        self.wait_for_check(controller, merge, "tidegate/apply", "success");
        let comment = self.comment(number).unwrap();
        let link = format!("/commit/{merge}");
        assert!(comment.contains("Merged by `ann` as ") && comment.contains(&link), "{comment}");
        comment
    }

    /// How often our comments on a pull request were written: once when made, and once for every edit.
    pub(super) fn comment_writes(&self, number: u64) -> usize {
        let comments = self.forge.all_comments(number);
        let ours = comments.iter().filter(|comment| comment.author == BOT);
        ours.map(|comment| 1 + comment.history.len()).sum()
    }

    /// Fails the test where anything is written at the forge although nothing happens.
    #[track_caller]
    pub(super) fn assert_quiet(&self, controller: &mut Controller) {
        self.let_rounds_pass(controller, 1);
        let before = self.forge.transcript();
        self.let_rounds_pass(controller, 3);
        assert_eq!(self.forge.transcript(), before, "nothing happened, and this was written");
    }
}
