//! Whom users mean: a member by its name, by its id, or by the digits of it that lists show (protocol §4).

use crate::ident::NodeId;

/// The members of these that `text` stands for: by name, by id, by the four digits of it that lists show, or by both, as in
/// `pc-2 (1a2b)`. Case does not matter, and a name comes before digits that look like it.
pub fn named<'a>(text: &str, all: impl Iterator<Item = (NodeId, &'a str)>) -> Vec<NodeId> {
    let text = text.trim().to_lowercase();
    let (mut by_name, mut by_id) = (Vec::new(), Vec::new()); // bound: MEMBERS
    for (id, name) in all {
        let (name, digits) = (name.to_lowercase(), id.short());
        if name == text || format!("{name} ({digits})") == text {
            by_name.push(id);
        } else if digits == text || id.to_string() == text {
            by_id.push(id);
        }
    }
    if by_name.is_empty() { by_id } else { by_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> NodeId {
        NodeId(uuid::Uuid::from_u128(n << 112))
    }

    #[test]
    fn names_ids_and_digits_are_all_understood_in_any_case() {
        let all = [(id(0xab12), "PC-2"), (id(0xcd34), "pc-2"), (id(0xcd99), "ab12"), (id(0xef00), "pc-7")];
        let found = |text: &str| named(text, all.iter().map(|(id, name)| (*id, *name)));
        assert_eq!(found("pC-2"), [id(0xab12), id(0xcd34)], "a name, however it is written");
        assert_eq!(found("pc-2 (CD34)"), [id(0xcd34)], "as a list shows a name that two share");
        assert_eq!(found("Ef00"), [id(0xef00)], "the four digits alone");
        assert_eq!(found("ab12"), [id(0xcd99)], "a name comes before digits");
        assert_eq!(found(&id(0xab12).to_string().to_uppercase()), [id(0xab12)], "a whole id");
        assert_eq!(found(" pc-7 "), [id(0xef00)]);
        assert!(found("pc").is_empty() && found("").is_empty(), "no beginnings");
    }
}
