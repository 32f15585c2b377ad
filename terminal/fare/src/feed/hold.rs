//! The feed that a device prices with while a newer one is offered.

use super::{Feed, Findings};

/// Holds the last good feed.
#[derive(Debug, Default)]
pub struct Feeds {
    current: Option<Feed>,
}

impl Feeds {
    /// The feed to price with.
    pub fn current(&self) -> Option<&Feed> {
        self.current.as_ref()
    }

    /// Takes what [`Feed::open`] gave. A refused feed changes nothing, and its findings come back.
    pub fn offer(&mut self, (feed, findings): (Option<Feed>, Findings)) -> Result<(), Findings> {
        match feed {
            Some(feed) => {
                self.current = Some(feed);
                Ok(())
            }
            None => Err(findings),
        }
    }
}
