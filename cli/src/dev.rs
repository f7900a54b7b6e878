//! `lowtide dev`: everything in one process on one machine, over embedded stores.
//!
//! The handlers are the ones that Lambda runs; this module only stands in for what AWS does around them:
//! it listens for HTTP, polls the queues, and ticks.

mod first_run;
mod poller;
mod ticker;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use delivery::DeliveryHandler;
use domain::AccountId;
use embedded::Embedded;
use gateway_fargate::Holder;
use queues::{Queue, Queues};
use runtime::{AwsClients, Clock, Entropy, Environment, LocalEndpoints, LogFormat, Settings};
use store::{Keyring, Store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use turn::TurnHandler;

pub use first_run::ClientFile;

/// How many polls of each queue run at once. Each takes up to ten messages, as Lambda's do.
const TURN_POLLERS: usize = 24;
const OUTBOUND_POLLERS: usize = 8;
const JOB_POLLERS: usize = 4;

/// How long work in hand may take to end after Ctrl-C. What does not end is taken up at the next start.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The local mode needs no names of its own: the stores belong to one installation.
const TABLE: &str = "lowtide";
const BUCKET: &str = "lowtide";

#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// Address to listen on. The webhooks and the API are served here.
    #[arg(long, env = "LOWTIDE_LISTEN", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,

    /// Address under which channels reach this machine, for example a tunnel's: `https://bots.example.org`.
    #[arg(long, env = "LOWTIDE_PUBLIC_URL")]
    pub public_url: Option<String>,
}

/// What `lowtide dev` is started with.
#[derive(Clone, Debug)]
pub struct DevConfig {
    pub state_dir: PathBuf,
    pub listen: SocketAddr,
    pub settings: Settings,
}

/// A running local Lowtide.
pub struct Dev {
    client: ClientFile,
    account: AccountId,
    is_first_run: bool,
    environment: Environment,
    embedded: Embedded,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Runs until Ctrl-C or SIGTERM.
pub async fn run(args: DevArgs, state_dir: PathBuf) -> anyhow::Result<()> {
    runtime::init_telemetry(LogFormat::Plain);
    let mut settings = Settings::optional_from_env();
    settings.private_models = true;
    if let Some(url) = args.public_url {
        settings.public_url = Some(url.trim_end_matches('/').to_owned());
    }
    let mut dev = Dev::start(DevConfig { state_dir: state_dir.clone(), listen: args.listen, settings }).await?;
    let link = api::owner_link(&dev.environment, dev.account).await?;
    dev.print_welcome(&state_dir, &link)?;
    let failed = tokio::select! {
        () = asked_to_stop() => None,
        failed = dev.failed() => Some(failed),
    };
    eprintln!("Stopping: work in hand ends, and what does not is taken up at the next start.");
    dev.shutdown().await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn asked_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!("SIGTERM will not stop this process in order: {error}");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Dev {
    /// Opens the stores, makes what is missing (on the first run an account, a bot and a key, too), and
    /// starts to serve and to work.
    pub async fn start(config: DevConfig) -> anyhow::Result<Dev> {
        runtime::install_crypto();
        first_run::make_private_dir(&config.state_dir)?;
        // The port before the stores: of two processes the second one should say so first.
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on {} (is `lowtide dev` running already? --listen chooses another port)",
                config.listen
            )
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        let embedded = Embedded::start(&config.state_dir.join("data")).await?;
        let environment = environment(&config, &embedded).await?;
        let (client, account, is_first_run) =
            Box::pin(first_run::prepare(&environment, &config.state_dir, &url)).await?;

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let router = api::router(environment.clone()).merge(ingress::router(environment.clone()));
        let stopped = stop.clone();
        // A word of an answer that is streamed would wait for the browser's delayed acknowledgement of the one before.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!("TCP_NODELAY could not be set: {error}");
            }
        });
        tasks.spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await
                .context("the HTTP server")
        });
        let turns = Arc::new(TurnHandler::new(environment.clone())?);
        for _ in 0..TURN_POLLERS {
            let turns = turns.clone();
            let work = move |event, deadline| {
                let turns = turns.clone();
                async move { turns.handle(event, deadline).await }
            };
            tasks.spawn(poller::poll(environment.queues.clone(), Queue::Turns, stop.clone(), work));
        }
        let deliveries = Arc::new(DeliveryHandler::new(environment.clone()));
        for _ in 0..OUTBOUND_POLLERS {
            let deliveries = deliveries.clone();
            let work = move |event, deadline| {
                let deliveries = deliveries.clone();
                async move { deliveries.handle(event, deadline).await }
            };
            tasks.spawn(poller::poll(environment.queues.clone(), Queue::Outbound, stop.clone(), work));
        }
        let jobs = environment.queues.clone();
        for _ in 0..JOB_POLLERS {
            let environment = environment.clone();
            let work = move |event, deadline| {
                let environment = environment.clone();
                async move { cron::handle_jobs(&environment, event, deadline).await }
            };
            tasks.spawn(poller::poll(jobs.clone(), Queue::Jobs, stop.clone(), work));
        }
        tasks.spawn(ticker::tick(environment.clone(), stop.clone()));
        let holder = Holder::new(environment.clone());
        let held = stop.clone();
        tasks.spawn(async move {
            // The stores are this process's alone: whoever held links before has ended.
            holder.outlive_others().await.context("the links of channels that are held")?;
            holder.run(held).await;
            Ok(())
        });
        Ok(Dev { client, account, is_first_run, environment, embedded, stop, tasks })
    }

    /// How clients reach it: the URL, the first account's key, the first bot.
    pub fn client(&self) -> &ClientFile {
        &self.client
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Waits until a part of it ends by itself, which none should.
    async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => anyhow::anyhow!("a part of lowtide stopped: {panic}"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of lowtide stopped without an error"),
        }
    }

    /// Takes nothing new, lets work in hand end, and closes the stores.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::info!("Some work did not end in time; it is taken up at the next start.");
            self.tasks.shutdown().await;
        }
        self.embedded.shutdown().await?;
        Ok(())
    }

    fn print_welcome(&self, state_dir: &Path, link: &str) -> io::Result<()> {
        let lowtide = command_name();
        let mut out = io::stdout();
        let (bold, plain) = if out.is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(out, "{bold}Lowtide is running{plain} at {}", self.client.url)?;
        writeln!(out, "  state      {}", state_dir.display())?;
        writeln!(out, "  dashboard  {}{link}", self.client.url)?;
        writeln!(out, "             (lets one browser in, within 15 minutes; `{lowtide} dashboard` prints another)")?;
        if let Some(bot) = &self.client.bot {
            if self.is_first_run {
                writeln!(out, "  first bot  {bot} (made just now; it answers with a built-in demo, no key needed)")?;
            }
            writeln!(out, "\nIn another terminal:")?;
            writeln!(out, "  {lowtide} chat")?;
            writeln!(out, "      talk to {bot}")?;
            writeln!(out, "  {lowtide} bots model {bot} openai/gpt-5.1 --api-key-env OPENAI_API_KEY")?;
            writeln!(out, "      give it a real model")?;
            writeln!(out, "  {lowtide} links add telegram {bot}")?;
            writeln!(out, "      put it on Telegram")?;
            writeln!(out, "  {lowtide} --help")?;
            writeln!(out, "      everything else")?;
        }
        writeln!(out, "\nCtrl-C stops it. Nothing is lost: the next start goes on where this one ended.")?;
        out.flush()
    }
}

/// How the reader of the welcome calls this program.
fn command_name() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run --" } else { "lowtide" }
}

async fn environment(config: &DevConfig, embedded: &Embedded) -> anyhow::Result<Environment> {
    let endpoints = embedded.endpoints();
    let aws = AwsClients::local(&LocalEndpoints {
        dynamodb: endpoints.dynamodb.clone(),
        s3: endpoints.s3.clone(),
        sqs: endpoints.sqs.clone(),
    });
    let entropy = Entropy::system();
    let keyring = Keyring::local(first_run::root_key(&config.state_dir, &entropy)?)?;
    let store = Store::new(aws.dynamo, aws.s3, TABLE.to_owned(), BUCKET.to_owned(), keyring);
    store.create_missing().await?;
    let queues = Queues::create_missing(aws.sqs).await?;
    let http = runtime::http_client()?;
    Ok(Environment {
        store,
        queues,
        clock: Clock::system(),
        entropy,
        settings: config.settings.clone(),
        http,
        bedrock: None,
    })
}
