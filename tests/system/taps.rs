//! What a tap costs: the bytes on the air are the same on every machine, so their limits are tests.

use crate::commands::{onecard, pcscd};
use serde_json::Value;

#[test]
fn every_flow_stays_within_its_time_on_the_air() {
    let _turn = pcscd();
    let output = onecard(&["bench", "tap", "--taps", "20", "--json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let air = |flow: &str| report["air_106k_ms"][flow].as_f64().expect(flow);
    for (flow, limit) in [
        ("bus_flat", 24.0),
        ("bus_city", 31.0),
        ("bus_cap", 31.0),
        ("bus_pass", 31.0),
        ("bus_transfer", 36.0),
        ("metro_exit", 61.0),
    ] {
        assert!(air(flow) <= limit, "{flow}: {} ms", air(flow));
    }
    // A tap that reads and writes more cannot be shorter: the figures are of different flows.
    assert!(air("bus_flat") < air("bus_cap") && air("bus_cap") < air("metro_exit"));
    assert!(air("bus_long_way") > air("bus_cap"));
    for flow in report["flows"].as_array().expect("flows") {
        assert_eq!(flow["memory"]["taps"], 20, "{flow}");
        assert_eq!(flow["pcscd"]["taps"], 2, "{flow}");
        assert!(
            flow["memory"]["flush"]["p50_us"].as_u64() > Some(0),
            "{flow}"
        );
    }
    assert!(report["software_memory_p99_us"].as_u64() > Some(0));
    assert!(report["software_pcscd_p99_us"].as_u64() > Some(0));
}
