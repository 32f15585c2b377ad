//! Commands. One file each; parsing here.

mod bench;
mod card;
mod clearing;
mod demo;
mod fare;
mod firmware;
mod hsm;
mod issuance;
mod script;
mod secret;
mod terminal;

use crate::{exit::Done, out::say};
use clap::{Parser, Subcommand};

/// One card for a province 一卡通: social insurance, hospital, transit, parking.
///
/// Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 authentication, 5 reader or card,
/// 6 card refused, 7 part of a batch failed, 130 interrupted.
#[derive(Parser)]
#[command(
    name = "onecard",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one whole day of one-card life, in one process, and check it 演示
    Demo(demo::Args),
    /// Virtual cards for any PC/SC program 虚拟卡
    #[command(subcommand)]
    Card(card::Card),
    /// Measure; a command, never a timed test 测速
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Key service 密钥机
    #[command(subcommand)]
    Hsm(hsm::Hsm),
    /// Clearing house 清算
    #[command(subcommand)]
    Clearing(clearing::Clearing),
    /// Issuance 发卡
    #[command(subcommand)]
    Issuance(issuance::Issuance),
    /// Fares of GTFS feeds 票价
    #[command(subcommand)]
    Fare(fare::Fare),
    /// Run one terminal on PC/SC readers 终端
    Terminal(terminal::Args),
    /// Configuration of all services
    #[command(subcommand)]
    Config(Config),
}

#[derive(Subcommand)]
enum Config {
    /// Print a commented example of the services' file
    Example,
    /// Print a commented profile of a terminal that works with the sample data
    Terminal {
        /// Of which kind: bus, metro-entry, pos, ...
        #[arg(long, value_parser = terminal::kind, default_value = "bus")]
        kind: ::terminal::profile::Kind,
    },
}

/// Parses and runs.
pub fn run() -> Done {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Card(command) => card::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Hsm(command) => hsm::run(&command),
        Command::Clearing(command) => clearing::run(&command),
        Command::Issuance(command) => issuance::run(&command),
        Command::Fare(command) => fare::run(&command),
        Command::Terminal(args) => terminal::run(&args),
        Command::Config(Config::Terminal { kind }) => {
            crate::out::write(format_args!("{}", ::terminal::profile::example(kind)));
            Ok(())
        }
        Command::Config(Config::Example) => {
            crate::out::write(format_args!("{}", crate::config::EXAMPLE));
            Ok(())
        }
    }
}

/// Set when the user interrupts (Ctrl-C) or the service manager asks to stop.
pub fn interrupted() -> Done<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use crate::exit::Stop;
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let shared = std::sync::Arc::clone(&flag);
    ctrlc::set_handler(move || {
        eprintln!("stopping 正在停止");
        shared.store(true, std::sync::atomic::Ordering::SeqCst);
    })
    .map_err(Stop::because("installing the interrupt handler"))?;
    Ok(flag)
}

/// Waits until interrupted.
pub fn wait_for(flag: &std::sync::atomic::AtomicBool) {
    while !flag.load(std::sync::atomic::Ordering::SeqCst) {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Prints a value as one JSON document on standard output.
pub fn json<T: serde::Serialize>(value: &T) -> Done {
    let text =
        serde_json::to_string_pretty(value).map_err(crate::exit::Stop::because("writing JSON"))?;
    say!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// A command that clashes with another would end in a panic only when it is typed.
    #[test]
    fn every_command_can_be_typed() {
        super::Cli::command().debug_assert();
    }
}
