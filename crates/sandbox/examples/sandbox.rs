//! Runs the sandbox alone: `cargo run -p tollgate-sandbox --example sandbox [ADDRESS [FILE]]`.

use std::error::Error;
use std::path::PathBuf;

use tollgate_sandbox::{Config, Faults, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8788".into()).parse()?;
    let database = PathBuf::from(arguments.next().unwrap_or_else(|| "sandbox.db".into()));
    let config = Config { listen, database, start_at_micros: None, faults: Faults::none() };
    let sandbox = Sandbox::start(config).await?;
    println!("Stripe at {}/v1, Stigg at {}/stigg/api/v1", sandbox.base_url(), sandbox.base_url());
    tokio::signal::ctrl_c().await?;
    sandbox.stop().await;
    Ok(())
}
