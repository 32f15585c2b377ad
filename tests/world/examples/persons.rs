//! Writes the sample persons into the file named as its argument:
//! `cargo run -p world --example persons -- data/samples/persons.csv`
use card_spec::time::CardDate;
use world::persons::{SAMPLE_COUNT, SAMPLE_SEED, csv, rows};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name the file to write")?;
    let reference = CardDate::new(2026, 3, 16).map_err(|e| e.to_string())?;
    std::fs::write(path, csv(&rows(SAMPLE_SEED, SAMPLE_COUNT, reference)))?;
    Ok(())
}
