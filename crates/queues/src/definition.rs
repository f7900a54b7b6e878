//! The queues, as `template.yaml` states them: the local mode creates them from here, and a test compares the two.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

use crate::Queue;

/// One queue. One whose name ends with `.fifo` is FIFO and deduplicates by the id that the sender gives; another one gives
/// messages out in any order, at least once, each after a delay of its own.
#[derive(Clone, Copy, Debug)]
pub struct QueueDefinition {
    /// The name behind the stack's prefix.
    pub name: &'static str,
    /// Its logical id in `template.yaml`.
    pub resource: &'static str,
    /// How long the function that takes its tasks may run, in seconds; 0 where none does.
    pub function_secs: u32,
    /// For how many seconds a received task is hidden from other workers: its function's time-out and a
    /// little, so that the task of a worker that died is soon taken up again.
    pub visibility_secs: u32,
    pub retention_secs: u32,
    /// The dead-letter queue, and after how many receives a task goes there.
    pub redrive: Option<(&'static str, u32)>,
}

const DAY: u32 = 24 * 3600;

/// Dead-letter queues stand before the queues that they serve.
pub const QUEUES: [QueueDefinition; 5] = [
    QueueDefinition {
        name: "turns-dlq.fifo",
        resource: "TurnsDeadLetterQueue",
        function_secs: 0,
        visibility_secs: 30,
        retention_secs: 14 * DAY,
        redrive: None,
    },
    QueueDefinition {
        name: "outbound-dlq.fifo",
        resource: "OutboundDeadLetterQueue",
        function_secs: 0,
        visibility_secs: 30,
        retention_secs: 14 * DAY,
        redrive: None,
    },
    QueueDefinition {
        name: "turns.fifo",
        resource: "TurnsQueue",
        function_secs: 180,
        visibility_secs: 200,
        retention_secs: 14 * DAY,
        // The turn function counts failures itself: receives say nothing about a task that waited behind a long turn.
        redrive: Some(("turns-dlq.fifo", 1000)),
    },
    QueueDefinition {
        name: "outbound.fifo",
        resource: "OutboundQueue",
        function_secs: 60,
        visibility_secs: 70,
        retention_secs: 4 * DAY,
        redrive: Some(("outbound-dlq.fifo", 8)),
    },
    // What is not done within the hour was sent again meanwhile.
    QueueDefinition {
        name: "jobs",
        resource: "JobsQueue",
        function_secs: 50,
        visibility_secs: 60,
        retention_secs: 3600,
        redrive: None,
    },
];

impl Queue {
    /// For how long a batch of this queue may be worked on: less than its tasks stay hidden, so that no
    /// task is given to two workers.
    pub fn time_for_a_batch(self) -> Duration {
        let name = self.as_str();
        let definition = QUEUES.iter().find(|definition| definition.name.trim_end_matches(".fifo") == name);
        Duration::from_secs(definition.map_or(0, |definition| definition.function_secs).into())
    }
}

impl QueueDefinition {
    /// Whether it keeps the order of its groups.
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    pub(crate) fn attributes(&self) -> HashMap<QueueAttributeName, String> {
        let mut attributes = HashMap::from([
            (QueueAttributeName::VisibilityTimeout, self.visibility_secs.to_string()),
            (QueueAttributeName::MessageRetentionPeriod, self.retention_secs.to_string()),
        ]);
        if self.is_fifo() {
            attributes.insert(QueueAttributeName::FifoQueue, "true".to_owned());
            attributes.insert(QueueAttributeName::ContentBasedDeduplication, "false".to_owned());
        }
        attributes
    }
}
