//! Holds a Discord bot for each token with twilight's gateway client as its documentation shows, until its input ends.
//!
//! Arguments: the gateway's URL, the intents as a number, how many bots. Their tokens are `token-0`, `token-1`, …

use tokio::io::AsyncReadExt;
use twilight_gateway::{ConfigBuilder, EventTypeFlags, Intents, Shard, ShardId, StreamExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, intents, bots] = arguments.as_slice() else {
        return Err("usage: twilight-holder GATEWAY INTENTS BOTS".into());
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (intents, bots) = (Intents::from_bits_truncate(intents.parse()?), bots.parse::<usize>()?);
    for n in 0..bots {
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let config = ConfigBuilder::new(format!("token-{n}"), intents).proxy_url(gateway).build();
            let mut shard = Shard::with_config(ShardId::ONE, config);
            while let Some(event) = shard.next_event(EventTypeFlags::all()).await {
                if let Err(error) = event {
                    let told: String = format!("bot {n}: {error}").chars().take(200).collect();
                    eprintln!("{told}");
                }
            }
        });
        // A whole crowd at once would measure the server's patience.
        if n % 50 == 49 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    Ok(())
}
