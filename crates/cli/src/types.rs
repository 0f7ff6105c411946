//! The resource types as data: what a path, a message and a table need to know of each. Every
//! command works from this table, so that a further type is a further entry.

/// One resource type of the API.
pub(crate) struct ResourceType {
    /// Its name in the API's paths and in a cluster's document.
    pub(crate) plural: &'static str,
    /// The command group, and what messages call one of it.
    pub(crate) singular: &'static str,
    /// Its name in Flux paths; a cluster has none.
    pub(crate) flux_path: &'static str,
    /// The table of its documents.
    pub(crate) columns: &'static [Column],
    /// The table of its inputs, as a cluster polls them.
    pub(crate) input_columns: &'static [Column],
}

/// A column: its heading, and where in a document its cell is.
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) pointer: &'static str,
    pub(crate) cell: Cell,
}

/// How a value becomes a cell.
#[derive(Clone, Copy)]
pub(crate) enum Cell {
    /// The value itself in one line.
    Value,
    /// How many entries it has.
    Count,
    /// The operations of a change set: the first, and how many more.
    Operations,
}

const fn value(heading: &'static str, pointer: &'static str) -> Column {
    Column { heading, pointer, cell: Cell::Value }
}

const fn count(heading: &'static str, pointer: &'static str) -> Column {
    Column { heading, pointer, cell: Cell::Count }
}

pub(crate) const CLUSTER: ResourceType = ResourceType {
    plural: "clusters",
    singular: "cluster",
    flux_path: "clusters",
    columns: &[
        value("ID", "/id"),
        value("ENVIRONMENT", "/environment"),
        value("DNS", "/cluster_dns"),
        count("COMPONENTS", "/platform_components"),
        count("NAMESPACES", "/namespaces"),
        count("ROLEBINDINGS", "/rolebindings"),
        value("LABELS", "/labels"),
    ],
    input_columns: &[
        value("ID", "/id"),
        value("NAME", "/cluster_name"),
        value("ENVIRONMENT", "/environment"),
        value("DNS", "/cluster_dns"),
    ],
};

pub(crate) const COMPONENT: ResourceType = ResourceType {
    plural: "platform_components",
    singular: "component",
    flux_path: "platform-components",
    columns: &[
        value("ID", "/id"),
        value("ENABLED", "/enabled"),
        value("PATH", "/component_path"),
        value("VERSION", "/component_version"),
        value("TAG", "/oci_tag"),
        value("DELIVERY", "/delivery"),
        value("DEPENDS ON", "/depends_on"),
        value("SOURCE", "/oci_url"),
    ],
    input_columns: &[
        value("ID", "/id"),
        value("ENABLED", "/enabled"),
        value("PATH", "/component_path"),
        value("VERSION", "/component_version"),
        value("TAG", "/source/oci_tag"),
        value("SUSPENDED", "/release/suspend"),
        value("ON REMOVE", "/on_remove"),
        value("PATCHES", "/patches"),
    ],
};

pub(crate) const NAMESPACE: ResourceType = ResourceType {
    plural: "namespaces",
    singular: "namespace",
    flux_path: "namespaces",
    columns: NAMESPACE_COLUMNS,
    input_columns: NAMESPACE_COLUMNS,
};

const NAMESPACE_COLUMNS: &[Column] = &[
    value("ID", "/id"),
    value("LABELS", "/labels"),
    value("ANNOTATIONS", "/annotations"),
    value("ON REMOVE", "/on_remove"),
];

pub(crate) const ROLEBINDING: ResourceType = ResourceType {
    plural: "rolebindings",
    singular: "rolebinding",
    flux_path: "rolebindings",
    columns: ROLEBINDING_COLUMNS,
    input_columns: ROLEBINDING_COLUMNS,
};

const ROLEBINDING_COLUMNS: &[Column] = &[
    value("ID", "/id"),
    value("ROLE", "/role"),
    value("SUBJECTS", "/subjects"),
    value("ON REMOVE", "/on_remove"),
];

/// The layers between the catalog and the clusters; nobody polls one by itself.
pub(crate) const PROFILE: ResourceType = ResourceType {
    plural: "profiles",
    singular: "profile",
    flux_path: "",
    columns: &[
        value("ID", "/id"),
        value("PRIORITY", "/priority"),
        value("SELECTOR", "/selector"),
        value("REFERENCES", "/references"),
        value("PATCHES", "/patches"),
        value("DESCRIPTION", "/description"),
    ],
    input_columns: &[],
};

/// Those that the fleet registered; no cluster refers to them, but to documents of them.
pub(crate) const RESOURCE_TYPE: ResourceType = ResourceType {
    plural: "resource_types",
    singular: "resource_type",
    flux_path: "",
    columns: &[
        value("ID", "/id"),
        value("KIND", "/kind"),
        value("VERSION", "/apiVersion"),
        value("OVERRIDABLE", "/overridable"),
        value("DESCRIPTION", "/description"),
    ],
    input_columns: &[],
};

/// What a cluster can refer to and therefore polls.
pub(crate) const DEFINITIONS: [&ResourceType; 3] = [&COMPONENT, &NAMESPACE, &ROLEBINDING];

pub(crate) const TOMBSTONE_COLUMNS: &[Column] =
    &[value("ID", "/id"), value("DNS", "/cluster_dns"), value("HELD", "/held")];

pub(crate) const FREEZE_COLUMNS: &[Column] =
    &[value("ID", "/id"), value("SELECTOR", "/selector"), value("REASON", "/reason")];

pub(crate) const HISTORY_COLUMNS: &[Column] = &[
    value("REVISION", "/revision"),
    value("AT", "/at"),
    value("BY", "/principal"),
    Column { heading: "ASKED", pointer: "/operations", cell: Cell::Operations },
    value("DOCUMENTS", "/document_count"),
    value("WHY", "/reason"),
];

pub(crate) const EXPLAIN_COLUMNS: &[Column] = &[
    value("FIELD", "/field"),
    value("VALUE", "/value"),
    value("FROM", "/from"),
    value("OVERRODE", "/overrode"),
    value("REVISION", "/revision"),
    value("CHANGED", "/changed"),
];

pub(crate) const EXCEPTION_COLUMNS: &[Column] = &[
    value("SINCE", "/since"),
    value("CLUSTER", "/cluster"),
    value("INPUT", "/input"),
    value("PATH", "/path"),
    value("VALUE", "/value"),
    value("INSTEAD", "/instead"),
    value("BY", "/by"),
    value("EXPIRES", "/expires"),
    value("NOTE", "/note"),
];

/// For inputs of a type that this program does not know.
pub(crate) const INPUT_COLUMNS: &[Column] = &[value("ID", "/id")];

impl ResourceType {
    /// Whether a person means it by `name`: its Flux path, plural or singular.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let name = name.replace('_', "-");
        [self.flux_path.to_owned(), self.singular.replace('_', "-"), self.plural.replace('_', "-")]
            .contains(&name)
            || format!("{}s", self.singular) == name
    }
}

/// The definition type of this release that a person means by `name`.
pub(crate) fn definition(name: &str) -> Option<&'static ResourceType> {
    DEFINITIONS.into_iter().find(|kind| kind.is_called(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_goes_by_any_of_its_names() {
        let plural = |name| definition(name).map(|kind| kind.plural);
        for name in ["platform-components", "platform_components", "component", "components"] {
            assert_eq!(plural(name), Some("platform_components"), "{name}");
        }
        assert_eq!(plural("namespace"), Some("namespaces"));
        assert_eq!(plural("rolebindings"), Some("rolebindings"));
        assert_eq!(plural("clusters"), None);
    }
}
