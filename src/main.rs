//! `onecard`: the command line. It parses, wires and reports; it has no rules of its own.

// Nothing outside can reach into an executable, so `pub` says only "used by another module".
#![allow(unreachable_pub)]

mod cli;
mod config;
mod exit;
mod out;
mod tables;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => match out::failure() {
            None => ExitCode::SUCCESS,
            Some(error) => {
                eprintln!("onecard: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
        },
        Err(stop) => {
            eprintln!("onecard: {stop}");
            ExitCode::from(stop.code as u8)
        }
    }
}
