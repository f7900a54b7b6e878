//! The holder as a process of its own, for tests that kill it: the same code as the binary `gateway-fargate`, built along with
//! the tests.

fn main() -> anyhow::Result<()> {
    gateway_fargate::process::main()
}
