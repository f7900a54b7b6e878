//! How much a held bot costs: memory, processor time and latency of a holder with thousands of them.
//!
//! Discord and the holder are processes of their own, started from this program.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, stream};
use testkit::discord::{FakeDiscord, Options};
use testkit::stack::Stack;
use tokio::time::Instant;

/// The subcommands by which this program starts itself.
pub(crate) const DISCORD: &str = "discord-process";
pub(crate) const HOLDER: &str = "holder-process";

const FRAME: usize = 100 * 1024;
const IDLE: Duration = Duration::from_secs(60);
const RATE: u64 = 1000;
const LOAD: Duration = Duration::from_secs(20);

/// How many bots twilight holds to be compared with: each takes much more.
const TWILIGHT_BOTS: usize = 2000;

/// Linux counts processor time in hundredths of a second.
const TICKS: f64 = 100.0;

/// Runs the whole measurement with so many bots.
pub(crate) async fn holder(bots: usize) -> anyhow::Result<()> {
    let mut discord = Discord::start(bots)?;
    let mut stack = Stack::start_with_kms().await;
    stack.environment.settings.discord_api_base.clone_from(&discord.api_base);
    let empty = Process::start(&stack, &discord)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let base = empty.resident()?;
    drop(empty);

    println!("making {bots} links");
    let account = stack.account().await;
    let (stack, account) = (&stack, account.id);
    stream::iter(0..bots)
        .for_each_concurrent(32, |n| async move {
            let bot = stack.bot(account, &format!("bench-{n}")).await;
            stack.discord_link(&bot, &token(n)).await;
        })
        .await;

    let started = Instant::now();
    let holder = Process::start(stack, &discord)?;
    while discord.ask("connected")? != bots as u64 {
        if started.elapsed() > Duration::from_secs(900) {
            bail!("only {} of {bots} bots connected", discord.ask("connected")?);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "{bots} bots identified over TLS after {:.1} s, {:.1} s of a core",
        started.elapsed().as_secs_f64(),
        holder.cpu()?
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let per_bot = |bytes: u64| bytes.saturating_sub(base) as f64 / 1024.0 / bots as f64;
    let idle = holder.resident()?;
    println!("memory: {:.1} MB empty, {:.1} MB with them: {:.1} KB a bot", mb(base), mb(idle), per_bot(idle));

    discord.ask(&format!("flood {FRAME}"))?;
    // Each bot acknowledges what it has read by its next heartbeat.
    let beats = discord.ask("beats")?;
    while discord.ask("beats")? < beats + 2 * bots as u64 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let after = holder.resident()?;
    println!("after a frame of {FRAME} bytes to each: {:.1} MB: {:.1} KB a bot", mb(after), per_bot(after));

    let (cpu, beats) = (holder.cpu()?, discord.ask("beats")?);
    tokio::time::sleep(IDLE).await;
    let beats = (discord.ask("beats")? - beats) as f64 / IDLE.as_secs_f64();
    let share = (holder.cpu()? - cpu) / IDLE.as_secs_f64() * 100.0;
    println!("idle for {} s: {beats:.0} heartbeats a second, {share:.1} % of a core", IDLE.as_secs());

    let cpu = holder.cpu()?;
    let began = Instant::now();
    let said = discord.ask(&format!("load {RATE} {}", LOAD.as_secs()))?;
    let mut latency = holder.latency().await?;
    while latency.count < said {
        if began.elapsed() > Duration::from_secs(300) {
            bail!("{} of {said} messages were queued", latency.count);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        latency = holder.latency().await?;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{said} messages at {RATE} a second: all queued after {took:.1} s, {:.0} a second; frame to queue p50 {}, p99 {}; \
         {:.0} % of a core",
        said as f64 / took,
        latency.percentile(50),
        latency.percentile(99),
        (holder.cpu()? - cpu) / took * 100.0
    );
    drop(holder);
    match std::env::var("LOWTIDE_TWILIGHT") {
        Ok(program) => beside_twilight(&program, TWILIGHT_BOTS.min(bots), per_bot(idle), per_bot(after)).await,
        Err(_) => {
            println!("twilight was not measured: `cargo xtask bench holder` builds it and says where it is");
            Ok(())
        }
    }
}

/// The same with twilight's gateway client as shipped, and how much more it takes than ours (in KB a bot).
async fn beside_twilight(program: &str, bots: usize, our_idle: f64, our_after: f64) -> anyhow::Result<()> {
    let mut discord = Discord::start(bots)?;
    let gateway = discord.api_base.replacen("http", "ws", 1);
    let start = |bots: usize| -> anyhow::Result<Process> {
        let child = Command::new(program)
            .args([&gateway, &channels::discord::gateway::INTENTS.to_string(), &bots.to_string()])
            .env("SSL_CERT_FILE", &discord.authority)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Process { child, metrics: String::new() })
    };
    let empty = start(0)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let base = empty.resident()?;
    drop(empty);
    let twilight = start(bots)?;
    let started = Instant::now();
    while discord.ask("connected")? != bots as u64 {
        if started.elapsed() > Duration::from_secs(600) {
            bail!("only {} of {bots} bots of twilight connected", discord.ask("connected")?);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let per_bot = |bytes: u64| bytes.saturating_sub(base) as f64 / 1024.0 / bots as f64;
    let idle = per_bot(twilight.resident()?);
    println!("twilight-gateway as shipped, {bots} bots: {idle:.1} KB a bot, {:.1} times ours", idle / our_idle);
    discord.ask(&format!("flood {FRAME}"))?;
    let beats = discord.ask("beats")?;
    while discord.ask("beats")? < beats + 2 * bots as u64 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let after = per_bot(twilight.resident()?);
    println!("after a frame of {FRAME} bytes to each: {after:.1} KB a bot, {:.1} times ours", after / our_after);
    let cpu = twilight.cpu()?;
    tokio::time::sleep(IDLE).await;
    let share = (twilight.cpu()? - cpu) / IDLE.as_secs_f64() * 100.0;
    println!("idle: {:.2} % of a core for a thousand bots", share / bots as f64 * 1000.0);
    Ok(())
}

fn token(n: usize) -> String {
    format!("token-{n}")
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// Discord, as a process that answers each line of its input with a number.
pub(crate) async fn discord_process(bots: usize) -> anyhow::Result<()> {
    let discord = FakeDiscord::start(Options { tls: true, ..Options::default() });
    (0..bots).for_each(|n| discord.add_bot(&token(n)));
    let authority = discord.certificate().context("it speaks TLS")?.authority();
    println!("{} {}", discord.api_base(), authority.display());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["connected"] => discord.counts().connected as u64,
            ["beats"] => discord.counts().beats,
            ["flood", bytes] => {
                discord.flood(bytes.parse()?);
                0
            }
            ["load", rate, secs] => load(&discord, bots, rate.parse()?, secs.parse()?).await,
            _ => bail!("what is {line:?}?"),
        };
        println!("{answer}");
    }
    Ok(())
}

/// Says `rate` messages a second, each to another bot. Returns how many.
async fn load(discord: &FakeDiscord, bots: usize, rate: u64, secs: u64) -> u64 {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX));
    let mut said = 0;
    for n in 0..rate * secs {
        ticks.tick().await;
        let bot = usize::try_from(n * 7919 % bots as u64).unwrap_or_default();
        said += u64::from(discord.say(&token(bot), "70", "Hello").is_some());
    }
    said
}

struct Discord {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    api_base: String,
    authority: String,
}

impl Discord {
    fn start(bots: usize) -> anyhow::Result<Discord> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([DISCORD, &bots.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("its input")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (api_base, authority) = line.trim().split_once(' ').context("its address")?;
        let (api_base, authority) = (api_base.to_owned(), authority.to_owned());
        Ok(Discord { child, input, output, api_base, authority })
    }

    fn ask(&mut self, question: &str) -> anyhow::Result<u64> {
        writeln!(self.input, "{question}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the answer to {question}: {line:?}"))
    }
}

impl Drop for Discord {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A holder, ended when dropped.
struct Process {
    child: Child,
    metrics: String,
}

impl Process {
    fn start(stack: &Stack, discord: &Discord) -> anyhow::Result<Process> {
        // A free port: nothing else on this machine asks for one just now.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(std::env::current_exe()?)
            .arg(HOLDER)
            .env_clear()
            .envs(stack.variables())
            .envs([("AWS_REGION", "us-east-1"), ("LOWTIDE_HEALTH_LISTEN", &address), ("LOWTIDE_LOG", "warn")])
            .env("SSL_CERT_FILE", &discord.authority)
            .spawn()?;
        Ok(Process { child, metrics: format!("http://{address}/metrics") })
    }

    /// In bytes.
    fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// Processor time so far, in seconds.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // The 14th and 15th of all; two stand before the parenthesis.
        let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok()).context("processor time");
        Ok((ticks(11)? + ticks(12)?) / TICKS)
    }

    async fn latency(&self) -> anyhow::Result<Latency> {
        let text = reqwest::get(&self.metrics).await?.text().await?;
        let buckets = text.lines().filter_map(|line| {
            let (bound, count) =
                line.strip_prefix("lowtide_holder_forward_seconds_bucket{le=\"")?.split_once("\"} ")?;
            Some((bound.to_owned(), count.parse().ok()?))
        });
        let buckets: Vec<(String, u64)> = buckets.collect();
        let count = buckets.last().map_or(0, |(_, count)| *count);
        Ok(Latency { buckets, count })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A histogram as Prometheus has it.
struct Latency {
    buckets: Vec<(String, u64)>,
    count: u64,
}

impl Latency {
    fn percentile(&self, percent: u64) -> String {
        let bucket = self.buckets.iter().find(|(_, count)| *count * 100 >= self.count * percent);
        bucket.map_or_else(|| "unknown".to_owned(), |(bound, _)| format!("at most {bound} s"))
    }
}
