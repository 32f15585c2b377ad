//! Counters for Prometheus. Never a card number, a key or a client's name as a label.

use std::{sync::atomic::AtomicI64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the durations, in seconds.
const BOUNDS: [f64; 8] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    operation: &'static str,
    outcome: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    operation: &'static str,
}

/// What the server counts.
pub(super) struct Metrics {
    registry: Registry,
    calls: Family<Call, Counter>,
    seconds: Family<Of, Histogram>,
    connections: Gauge,
    turned_away: Counter,
    strangers: Counter,
}

/// Counted as open until dropped.
pub(super) struct Open(Gauge<i64, AtomicI64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("onecard_hsm");
        let metrics = Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            connections: Gauge::default(),
            turned_away: Counter::default(),
            strangers: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "calls",
            "Calls by operation and outcome number, 0 is success",
            metrics.calls.clone(),
        );
        registry.register_with_unit(
            "call_duration",
            "Time from a whole request to its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "connections",
            "Connections of clients that are open",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Connections refused because too many were open",
            metrics.turned_away.clone(),
        );
        registry.register(
            "connections_untrusted",
            "Connections without a certificate that counts",
            metrics.strangers.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }

    pub(super) fn answered(&self, operation: &'static str, outcome: u16, took: Duration) {
        let outcome = u32::from(outcome);
        self.calls.get_or_create(&Call { operation, outcome }).inc();
        self.seconds
            .get_or_create(&Of { operation })
            .observe(took.as_secs_f64());
    }

    pub(super) fn connection(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.inc();
    }

    pub(super) fn stranger(&self) {
        self.strangers.inc();
    }

    /// OpenMetrics text, which Prometheus reads.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
