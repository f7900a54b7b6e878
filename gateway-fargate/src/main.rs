//! Keeps the connections of links whose channel has no webhooks, and queues what people write there.
//!
//! Trigger:  runs always, as a task on Fargate; as many as wanted, they share the links
//! Writes:   leases of slots, cursors of connections, pairing requests, links that their channel refuses
//! Emits:    `turns.fifo`, grouped by session; `outbound.fifo` for greetings and pairing codes
//! Failure:  another takes over within 14 s and goes on from the stored cursors; SIGTERM hands over at once

fn main() -> anyhow::Result<()> {
    gateway_fargate::process::main()
}
