//! The comment of one pull request at the forge: found, written, and found again.

use std::sync::Arc;

use jiff::Timestamp;

use crate::forge::comment::{self, Links, Memo, Section};
use crate::forge::{Comment, Forge, ForgeError};
use crate::model::{OwnerId, PullNumber};

/// Our comment, as it is there now.
#[derive(Debug, Clone)]
pub(crate) struct Sticky {
    pub(crate) id: u64,
    pub(crate) memo: Memo,
    pub(crate) section: Section,
    /// Whether it is as we wrote it.
    pub(crate) is_intact: bool,
}

/// Where comments are found and written.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    pub(crate) forge: Arc<dyn Forge>,
    pub(crate) owner: OwnerId,
    /// The login that our comments have.
    pub(crate) me: String,
    pub(crate) links: Links,
}

impl Board {
    /// Our comment among these: of several the first.
    pub(crate) fn ours(&self, comments: &[Comment]) -> Option<Sticky> {
        self.all_ours(comments).into_iter().next()
    }

    /// All our comments among these, the first that was written first: there should be one.
    fn all_ours(&self, comments: &[Comment]) -> Vec<Sticky> {
        let mut ours: Vec<&Comment> = comments.iter().filter(|c| c.author == self.me).collect();
        ours.sort_by_key(|comment| comment.id);
        let read = |comment: &Comment| {
            let read = comment::read(&comment.body, &self.owner)?;
            Some(Sticky {
                id: comment.id,
                memo: read.memo,
                section: read.section,
                is_intact: read.is_intact,
            })
        };
        ours.into_iter().filter_map(read).collect()
    }

    /// Says so where somebody else writes as we do: what is in our comment, or beside it, is whole, and not
    /// what we wrote.
    pub(crate) fn look_for_others(
        &self,
        number: PullNumber,
        comments: &[Comment],
        written: &Sticky,
    ) {
        let is_theirs = |sticky: &Sticky| {
            sticky.is_intact
                && (sticky.id != written.id || sticky.memo.planned_at != written.memo.planned_at)
        };
        if self.all_ours(comments).iter().any(is_theirs) {
            warn_of_another(number);
        }
    }

    /// Our comment on a pull request.
    pub(crate) async fn find(&self, number: PullNumber) -> Result<Option<Sticky>, ForgeError> {
        Ok(self.ours(&self.forge.comments(number, None).await?))
    }

    /// Writes what a pull request is told: into the comment that is there, or into a new one where there is
    /// none, or where somebody deleted it.
    pub(crate) async fn write(
        &self,
        number: PullNumber,
        before: Option<&Sticky>,
        memo: Memo,
        section: Section,
    ) -> Result<Sticky, ForgeError> {
        let body = comment::body(&memo, &section, &self.links);
        let edited = match before {
            Some(sticky) => match self.forge.edit_comment(sticky.id, &body).await {
                Ok(()) => Some(sticky.id),
                Err(ForgeError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let id = match edited {
            Some(id) => id,
            None => self.create(number, &body).await?,
        };
        Ok(Sticky { id, memo, section, is_intact: true })
    }

    /// Writes a new comment, unless another controller of the same owner was faster: then the first of the two
    /// stays, and is given the text.
    async fn create(&self, number: PullNumber, body: &str) -> Result<u64, ForgeError> {
        let id = self.forge.create_comment(number, body).await?;
        // What cannot be read now is read when it is written next.
        let comments = self.forge.comments(number, None).await.unwrap_or_default();
        let ours = self.all_ours(&comments);
        if ours.iter().any(|sticky| sticky.id != id) {
            warn_of_another(number);
        }
        match ours.first() {
            Some(first) if first.id < id => {
                self.forge.delete_comment(id).await?;
                self.forge.edit_comment(first.id, body).await?;
                Ok(first.id)
            }
            Some(_) | None => Ok(id),
        }
    }
}

fn warn_of_another(number: PullNumber) {
    tracing::warn!(
        %number,
        "another controller with the same owner comments on pull requests too: only one may run"
    );
}

/// A command in a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `/tidegate plan`: plan it again.
    Plan,
    /// `/tidegate apply DIGITS`: what was merged is agreed to, although it is not what was reviewed.
    Apply(String),
}

/// The commands in these comments that were written after a time, with who wrote them. Whoever the token is of may
/// command too: nothing that we write ourselves begins as a command does.
pub(crate) fn commands(
    comments: &[Comment],
    after: Timestamp,
) -> impl Iterator<Item = (&str, Command)> {
    comments
        .iter()
        .filter(move |comment| comment.created_at > after)
        .filter_map(|comment| Some((comment.author.as_str(), command(&comment.body)?)))
}

/// The command that a comment begins with: alone on its first line, so that quoting one commands nothing.
fn command(body: &str) -> Option<Command> {
    let mut words = body.lines().next()?.split_whitespace();
    if words.next()? != "/tidegate" {
        return None;
    }
    let command = match (words.next()?, words.next()) {
        ("plan", None) => Command::Plan,
        ("apply", Some(digest)) => {
            let digits = digest.trim_matches('`');
            let digits = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_hex && digits.len() >= super::reviews::APPROVAL_DIGITS_MIN)
                .then_some(Command::Apply(digits))?
        }
        _ => return None,
    };
    words.next().is_none().then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stands_alone_on_the_first_line() {
        assert_eq!(command("/tidegate plan\n\nplease"), Some(Command::Plan));
        let digits = "0123456789abcdef".to_owned();
        assert_eq!(
            command("/tidegate apply `sha256:0123456789ABCDEF`"),
            Some(Command::Apply(digits))
        );
        for body in [
            "please /tidegate plan",
            "> /tidegate plan",
            "/tidegate plan now",
            "/tidegate apply",
            "/tidegate apply 0123",
            "/tidegate apply 0123456789xyz",
            "/tidegate destroy",
            "",
        ] {
            assert_eq!(command(body), None, "{body}");
        }
    }
}
