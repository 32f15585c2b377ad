//! Whether a card may be used here at all, before any price: pure checks over files 15 and 17.

use card_spec::{
    id::RegionCode,
    purse::files::{CardKind, Public, Region},
    time::CardDate,
};

use crate::{code::Code, result::Refusal};

/// What a device accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// Region of the device.
    pub region: RegionCode,
    /// Sample and test cards are served: for tests and demonstrations on published keys only.
    pub sample_cards: bool,
}

impl Acceptance {
    /// Checks file 15: consistent, no sample, within its validity.
    pub fn check_public(&self, card: &Public, today: CardDate) -> Result<(), Refusal> {
        if card.pan.is_sample() && !self.sample_cards {
            return Err(Code::SampleCard.into());
        }
        let consistent = card.issuer.generation() == card.generation
            && card.issuer.pan(card.pan.serial8()) == Ok(card.pan);
        if !consistent {
            return Err(Refusal::new(
                Code::BadCard,
                "issuer identifier and card number of file 15 contradict each other",
            ));
        }
        if today < card.valid_from {
            return Err(Refusal::new(
                Code::NotYetValid,
                format!("from {}", card.valid_from),
            ));
        }
        if today > card.valid_to {
            return Err(Refusal::new(
                Code::Expired,
                format!("until {}", card.valid_to),
            ));
        }
        Ok(())
    }

    /// Checks file 17: a card of another city must be interoperable, a test card is no money.
    pub fn check_region(&self, card: &Region) -> Result<(), Refusal> {
        if card.kind == CardKind::Test && !self.sample_cards {
            return Err(Code::SampleCard.into());
        }
        let city = |region: RegionCode| {
            let [a, b, _] = region.to_bytes();
            [a, b]
        };
        if city(card.region) != city(self.region) && !card.interoperable {
            return Err(Refusal::new(
                Code::ForeignCard,
                format!("card of {}, not interoperable", card.region),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_spec::id::{Generation, IssuerId, Pan};

    fn card(pan: &str) -> Public {
        let pan: Pan = pan.parse().expect("digits");
        let region = "350100".parse().expect("digits");
        Public {
            issuer: IssuerId::new(pan, region, Generation(1)),
            app_type: 1,
            version: 1,
            pan,
            valid_from: "2026-01-01".parse().expect("date"),
            valid_to: "2036-01-01".parse().expect("date"),
            card_type: 0,
            generation: Generation(1),
        }
    }

    #[test]
    fn every_reason_has_its_code() {
        let production = Acceptance {
            region: "350100".parse().expect("digits"),
            sample_cards: false,
        };
        let test_mode = Acceptance {
            sample_cards: true,
            ..production
        };
        let day = |text: &str| text.parse::<CardDate>().expect("date");
        let code =
            |a: &Acceptance, c: &Public, d: &str| a.check_public(c, day(d)).map_err(|r| r.code);
        let good = card("03500000000000001234");
        assert_eq!(code(&production, &good, "2026-01-01"), Ok(()));
        assert_eq!(code(&production, &good, "2036-01-01"), Ok(()));
        assert_eq!(
            code(&production, &good, "2025-12-31"),
            Err(Code::NotYetValid)
        );
        assert_eq!(code(&production, &good, "2036-01-02"), Err(Code::Expired));
        let sample = card("09990000000000000001");
        assert_eq!(
            code(&production, &sample, "2026-06-01"),
            Err(Code::SampleCard)
        );
        assert_eq!(code(&test_mode, &sample, "2026-06-01"), Ok(()));
        let twisted = Public {
            generation: Generation(2),
            ..good
        };
        assert_eq!(
            code(&production, &twisted, "2026-06-01"),
            Err(Code::BadCard)
        );

        let region = |text: &str, interoperable, kind| Region {
            region: text.parse().expect("digits"),
            interoperable,
            kind,
        };
        let at = |r: &Region| production.check_region(r).map_err(|r| r.code);
        assert_eq!(at(&region("350128", false, CardKind::Normal)), Ok(()));
        assert_eq!(at(&region("350200", true, CardKind::Normal)), Ok(()));
        assert_eq!(
            at(&region("350200", false, CardKind::Normal)),
            Err(Code::ForeignCard)
        );
        assert_eq!(
            at(&region("350100", false, CardKind::Test)),
            Err(Code::SampleCard)
        );
    }
}
