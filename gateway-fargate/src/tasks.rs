//! Tasks that work for links, of which none is forgotten, however it ends.

use std::collections::HashMap;
use std::future::Future;

use domain::LinkId;
use tokio::task::{Id, JoinSet};

/// Tasks, each of which works for one link. They end with it.
pub(crate) struct LinkTasks<T> {
    tasks: JoinSet<T>,
    links: HashMap<Id, LinkId>,
}

impl<T: Send + 'static> LinkTasks<T> {
    pub(crate) fn new() -> LinkTasks<T> {
        LinkTasks { tasks: JoinSet::new(), links: HashMap::new() }
    }

    pub(crate) fn spawn(&mut self, link: LinkId, work: impl Future<Output = T> + Send + 'static) {
        let task = self.tasks.spawn(work).id();
        self.links.insert(task, link);
    }

    pub(crate) fn has(&self, link: LinkId) -> bool {
        self.links.values().any(|known| *known == link)
    }

    /// The link whose task ends next, with what that returned: nothing if it panicked. `None`: there are no tasks.
    pub(crate) async fn next(&mut self) -> Option<(LinkId, Option<T>)> {
        loop {
            let (task, returned) = match self.tasks.join_next_with_id().await? {
                Ok((task, returned)) => (task, Some(returned)),
                Err(error) => (error.id(), None),
            };
            if let Some(link) = self.links.remove(&task) {
                return Some((link, returned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_told_with_its_link() {
        let link = |n| LinkId::from_parts(Timestamp::from_secs(1), n);
        let mut tasks = LinkTasks::new();
        tasks.spawn(link(1), async { panic!("as any code may") });
        assert_eq!(tasks.next().await, Some((link(1), None)));
        tasks.spawn(link(2), async { 7 });
        assert_eq!(tasks.next().await, Some((link(2), Some(7))));
        assert_eq!(tasks.next().await, None);
    }
}
