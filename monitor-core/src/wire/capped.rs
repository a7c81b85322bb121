//! Lists and objects of a request of which only so much is kept: a body of a few kilobytes can unpack to millions of elements, and
//! each takes more memory when it is read than it took in the body.

use std::{fmt, marker::PhantomData};

use litemap::LiteMap;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The first `MOST` elements of a list, and how many it has.
#[derive(Debug)]
pub(super) struct Capped<T, const MOST: usize> {
    pub(super) kept: Vec<T>,
    pub(super) found: usize,
}

impl<T, const MOST: usize> Default for Capped<T, MOST> {
    fn default() -> Capped<T, MOST> {
        Capped { kept: Vec::new(), found: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Capped<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, MOST> {
            type Value = Capped<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Capped<T, MOST>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MOST {
                    match list.next_element()? {
                        Some(element) => kept.push(element),
                        None => return Ok(Capped { found: kept.len(), kept }),
                    }
                }
                let mut found = kept.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found += 1;
                }
                Ok(Capped { kept, found })
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// The first `MOST` members of an object, and how many it has.
#[derive(Debug)]
pub(super) struct CappedMap<T, const MOST: usize> {
    pub(super) kept: LiteMap<String, T>,
    pub(super) found: usize,
}

impl<T, const MOST: usize> Default for CappedMap<T, MOST> {
    fn default() -> CappedMap<T, MOST> {
        CappedMap { kept: LiteMap::new(), found: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for CappedMap<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Members<T, MOST> {
            type Value = CappedMap<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CappedMap<T, MOST>, A::Error> {
                let mut read = CappedMap::default();
                while let Some(key) = map.next_key::<String>()? {
                    let is_known = read.kept.contains_key(&key);
                    read.found += usize::from(!is_known);
                    if is_known || read.kept.len() < MOST {
                        read.kept.insert(key, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        let read = |text| serde_json::from_str::<Capped<u8, 2>>(text).map(|list| (list.kept, list.found));
        assert_eq!(read("[]").unwrap(), (vec![], 0));
        assert_eq!(read("[1,2]").unwrap(), (vec![1, 2], 2));
        assert_eq!(read(r#"[1,2,{"x":[3]},4]"#).unwrap(), (vec![1, 2], 4));
        assert!(read("[1,x]").is_err() && read("[1,2,x]").is_err() && read("{}").is_err());

        let read = |text| serde_json::from_str::<CappedMap<u8, 2>>(text).map(|map| (map.kept.into_iter().collect::<Vec<_>>(), map.found));
        assert_eq!(read(r#"{"b":1,"a":2,"b":3,"c":[4]}"#).unwrap(), (vec![("a".into(), 2), ("b".into(), 3)], 3));
        assert!(read("[]").is_err() && read(r#"{"a":1,"b":2,"c":}"#).is_err());
    }
}
