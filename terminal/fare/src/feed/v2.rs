//! GTFS-Fares V2, reading: areas, timeframes, riders, media, products and the rules between them.
//! How they price is in [`super::v2_match`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    calendar::Services,
    findings::Findings,
    money::Currency,
    network::{Network, StopIx, absent, dangling, once, spec},
    rows::{self, Row},
    source::Files,
    timeframes::Timeframes,
    v2_rules::{Fares, JoinRule, LegRule, Limit, Listed, Product, TransferKind, TransferRule},
};

impl Fares {
    pub(super) fn read(
        files: &Files,
        network: &Network,
        services: &Services,
        findings: &mut Findings,
    ) -> Self {
        let mut fares = Self {
            frames: Timeframes::read(files, services, findings),
            ..Self::default()
        };
        let areas = fares.read_areas(files, network, findings);
        fares.read_riders_and_media(files, findings);
        fares.read_products(files, findings);
        fares.read_legs(files, network, &areas, findings);
        fares.read_transfers(files, findings);
        fares.read_joins(files, network, findings);
        fares
    }

    fn read_areas(
        &mut self,
        files: &Files,
        network: &Network,
        findings: &mut Findings,
    ) -> BTreeSet<Box<str>> {
        let mut seen = BTreeMap::new();
        rows::read(files, spec("areas.txt"), findings, |row, findings| {
            let id = row.text("area_id");
            once(&mut seen, Box::<str>::from(id), row, "area_id", findings);
        });
        let areas: BTreeSet<Box<str>> = seen.into_keys().collect();
        let mut seen = BTreeMap::new();
        let mut given: BTreeMap<StopIx, BTreeSet<Box<str>>> = BTreeMap::new();
        rows::read(files, spec("stop_areas.txt"), findings, |row, findings| {
            let (area, stop) = (row.text("area_id"), row.text("stop_id"));
            let key = (area.to_owned(), stop.to_owned());
            once(&mut seen, key, row, "stop_id", findings);
            if !areas.contains(area) {
                dangling(row, "area_id", "areas.txt", findings);
            }
            match network.stop_ix.get(stop) {
                Some(ix) => {
                    given.entry(*ix).or_default().insert(area.into());
                }
                None => absent(row, "stop_id", "stops.txt", findings),
            }
        });
        for stop in 0..network.stops.len() as StopIx {
            if let Some(areas) = network.with_parent(stop).find_map(|ix| given.get(&ix)) {
                self.areas.insert(stop, areas.clone());
            }
        }
        areas
    }

    fn read_riders_and_media(&mut self, files: &Files, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let file = spec("rider_categories.txt");
        rows::read(files, file, findings, |row, findings| {
            let id: Box<str> = row.text("rider_category_id").into();
            once(&mut seen, id.clone(), row, "rider_category_id", findings);
            let usual = row.text("is_default_fare_category") == "1";
            self.riders.insert(id, usual);
        });
        let mut seen = BTreeMap::new();
        rows::read(files, spec("fare_media.txt"), findings, |row, findings| {
            let id: Box<str> = row.text("fare_media_id").into();
            once(&mut seen, id.clone(), row, "fare_media_id", findings);
            self.media.insert(id);
        });
    }

    fn read_products(&mut self, files: &Files, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let file = spec("fare_products.txt");
        rows::read(files, file, findings, |row, findings| {
            let (rider, media) = (row.some("rider_category_id"), row.some("fare_media_id"));
            if rider
                .as_ref()
                .is_some_and(|id| !self.riders.contains_key(id))
            {
                dangling(row, "rider_category_id", "rider_categories.txt", findings);
            }
            if media.as_ref().is_some_and(|id| !self.media.contains(id)) {
                dangling(row, "fare_media_id", "fare_media.txt", findings);
            }
            let id: Box<str> = row.text("fare_product_id").into();
            let key = (id.clone(), rider.clone(), media.clone());
            once(&mut seen, key, row, "fare_product_id", findings);
            let price = rows::amount(row, ("amount", "currency"), true, findings);
            // A product without a price stays known, so that its rules are not called strays.
            let (minor, currency) = price.unwrap_or((0, Currency::NONE));
            if !self.currencies.contains(&currency) {
                self.currencies.push(currency);
            }
            self.products.entry(id).or_default().push(Product {
                line: row.line,
                rider,
                media,
                minor,
                currency,
            });
        });
        for rows in self.products.values() {
            let riders: BTreeSet<&Box<str>> =
                rows.iter().filter_map(|p| p.rider.as_ref()).collect();
            let usual = riders
                .iter()
                .filter(|id| self.riders.get(**id) == Some(&true))
                .count();
            if let (2.., Some(first)) = (riders.len(), rows.first())
                && usual != 1
            {
                let at = super::findings::Place {
                    line: Some(first.line),
                    ..super::findings::Place::file("fare_products.txt")
                };
                let problem = "of the product's several rider categories not one is the default";
                let remedy = "set is_default_fare_category of one of them to 1";
                findings.warn(at, problem, remedy);
            }
        }
    }

    fn known_product(&self, row: &Row<'_>, findings: &mut Findings) {
        let id = row.text("fare_product_id");
        if !self.products.contains_key(id) {
            dangling(row, "fare_product_id", "fare_products.txt", findings);
        }
    }

    fn read_legs(
        &mut self,
        files: &Files,
        network: &Network,
        areas: &BTreeSet<Box<str>>,
        findings: &mut Findings,
    ) {
        let mut seen: BTreeMap<[String; 6], (u64, String)> = BTreeMap::new();
        let has_transfers = files.texts.contains_key("fare_transfer_rules.txt");
        let mut legs = Vec::new();
        let file = spec("fare_leg_rules.txt");
        rows::read(files, file, findings, |row, findings| {
            const KEY: [&str; 6] = [
                "network_id",
                "from_area_id",
                "to_area_id",
                "from_timeframe_group_id",
                "to_timeframe_group_id",
                "fare_product_id",
            ];
            let key = KEY.map(|field| row.text(field).to_owned());
            let group = row.text("leg_group_id");
            match seen.get(&key) {
                // The same rule in two groups prices a leg no differently; a transfer from it,
                // however, would be ambiguous.
                Some((first, known)) if *known != group && !has_transfers => {
                    let problem = "is the rule of another line in another leg group";
                    let remedy = format!("keep one of them and of line {first}");
                    findings.warn(row.at("leg_group_id"), problem, remedy);
                }
                Some((first, _)) => {
                    let problem = format!("repeats the key of line {first}");
                    let remedy = "remove one of the two rows";
                    findings.error(row.at("fare_product_id"), problem, remedy);
                }
                None => {
                    seen.insert(key, (row.line, group.to_owned()));
                }
            }
            self.known_product(row, findings);
            let id = row.text("network_id");
            if !network.networks.contains(id) {
                dangling(row, "network_id", "routes.txt or networks.txt", findings);
            }
            for field in ["from_area_id", "to_area_id"] {
                let id = row.text(field);
                if !areas.contains(id) {
                    dangling(row, field, "areas.txt", findings);
                }
            }
            for field in ["from_timeframe_group_id", "to_timeframe_group_id"] {
                let id = row.text(field);
                if !self.frames.knows(id) {
                    dangling(row, field, "timeframes.txt", findings);
                }
            }
            self.by_priority = row.has("rule_priority");
            legs.push(LegRule {
                line: row.line,
                group: row.some("leg_group_id"),
                network: row.some("network_id"),
                from: row.some("from_area_id"),
                to: row.some("to_area_id"),
                from_frame: row.some("from_timeframe_group_id"),
                to_frame: row.some("to_timeframe_group_id"),
                product: row.text("fare_product_id").into(),
                priority: row.number("rule_priority").unwrap_or_default(),
            });
        });
        let all = |field: fn(&LegRule) -> &Option<Box<str>>| {
            legs.iter().filter_map(|rule| field(rule).clone()).collect()
        };
        self.listed = Listed {
            networks: all(|rule| &rule.network),
            from: all(|rule| &rule.from),
            to: all(|rule| &rule.to),
        };
        self.legs = legs;
    }

    fn read_transfers(&mut self, files: &Files, findings: &mut Findings) {
        let groups: BTreeSet<&str> = self
            .legs
            .iter()
            .filter_map(|l| l.group.as_deref())
            .collect();
        let mut seen = BTreeMap::new();
        let mut transfers = Vec::new();
        let file = spec("fare_transfer_rules.txt");
        rows::read(files, file, findings, |row, findings| {
            const KEY: [&str; 5] = [
                "from_leg_group_id",
                "to_leg_group_id",
                "fare_product_id",
                "transfer_count",
                "duration_limit",
            ];
            let key = KEY.map(|field| row.text(field).to_owned());
            once(&mut seen, key, row, "from_leg_group_id", findings);
            self.known_product(row, findings);
            for field in ["from_leg_group_id", "to_leg_group_id"] {
                let id = row.text(field);
                if !groups.contains(id) {
                    dangling(row, field, "fare_leg_rules.txt as a leg_group_id", findings);
                }
            }
            let (from, to) = (row.some("from_leg_group_id"), row.some("to_leg_group_id"));
            let count = row.text("transfer_count");
            if from == to && count.is_empty() {
                let remedy = "write it: both leg groups are the same; -1 is no limit";
                findings.error(row.at("transfer_count"), "the value is missing", remedy);
            }
            if from != to && !count.is_empty() {
                let remedy = "leave it empty: the leg groups differ";
                findings.error(row.at("transfer_count"), "is forbidden here", remedy);
            }
            transfers.push(TransferRule {
                line: row.line,
                from,
                to,
                count: count.parse().ok(),
                limit: limit(row, findings),
                kind: match row.text("fare_transfer_type") {
                    "0" => TransferKind::FromPlusTransfer,
                    "1" => TransferKind::Both,
                    _ => TransferKind::TransferOnly,
                },
                product: row.some("fare_product_id"),
            });
        });
        self.transfers = transfers;
    }

    fn read_joins(&mut self, files: &Files, network: &Network, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let mut joins = Vec::new();
        let file = spec("fare_leg_join_rules.txt");
        rows::read(files, file, findings, |row, findings| {
            const KEY: [&str; 4] = [
                "from_network_id",
                "to_network_id",
                "from_stop_id",
                "to_stop_id",
            ];
            let key = KEY.map(|field| row.text(field).to_owned());
            once(&mut seen, key, row, "from_network_id", findings);
            for field in ["from_network_id", "to_network_id"] {
                let id = row.text(field);
                if !network.networks.contains(id) {
                    dangling(row, field, "routes.txt or networks.txt", findings);
                }
            }
            let stop = |field| network.stop_ix.get(row.text(field)).copied();
            let given = ["from_stop_id", "to_stop_id"].map(|field| !row.text(field).is_empty());
            for (field, other) in [("from_stop_id", given[1]), ("to_stop_id", given[0])] {
                if row.text(field).is_empty() && other {
                    let remedy = "write both stops or none";
                    findings.error(row.at(field), "the value is missing", remedy);
                } else if !row.text(field).is_empty() && stop(field).is_none() {
                    dangling(row, field, "stops.txt", findings);
                }
            }
            joins.push(JoinRule {
                from_network: row.text("from_network_id").into(),
                to_network: row.text("to_network_id").into(),
                stops: stop("from_stop_id").zip(stop("to_stop_id")),
            });
        });
        self.joins = joins;
    }
}

fn limit(row: &Row<'_>, findings: &mut Findings) -> Option<(u32, Limit)> {
    let (seconds, kind) = (
        row.number("duration_limit"),
        row.text("duration_limit_type"),
    );
    match (seconds, kind) {
        (Some(0), _) => {
            let remedy = "write seconds, 1 or more, or leave it empty for no limit";
            findings.error(row.at("duration_limit"), "is nought", remedy);
        }
        (Some(_), "") => {
            let remedy = "write it: there is a duration_limit";
            findings.error(
                row.at("duration_limit_type"),
                "the value is missing",
                remedy,
            );
        }
        (None, "0" | "1" | "2" | "3") => {
            let remedy = "leave it empty: there is no duration_limit";
            findings.error(row.at("duration_limit_type"), "is forbidden here", remedy);
        }
        _ => {}
    }
    let kind = Limit {
        from_arrival: matches!(kind, "2" | "3"),
        to_arrival: matches!(kind, "0" | "3"),
    };
    seconds.map(|seconds| (seconds, kind))
}
