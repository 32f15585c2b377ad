//! The committed corpus through the same functions that the fuzzer calls: a plain test, so that a
//! regression shows without libFuzzer.

use std::{fs, path::Path};

/// Files of a target's corpus, in the order of their names.
fn corpus(target: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files
}

#[test]
fn the_corpus_breaks_no_oracle() {
    for (name, run) in hsm_fuzz::TARGETS {
        let files = corpus(name);
        assert!(files.len() >= 5, "{name}: the corpus is missing");
        for file in &files {
            println!("{}", file.display());
            run(&fs::read(file).expect("a readable file"));
        }
        println!("{name}: {} inputs", files.len());
    }
}
