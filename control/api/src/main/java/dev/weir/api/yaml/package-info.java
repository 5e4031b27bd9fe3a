/**
 * YAML and JSON as an immutable tree in which every node knows its file, document and line, so that
 * whoever reads it can say where it is wrong. {@link dev.weir.api.yaml.YamlReader} parses, {@link
 * dev.weir.api.yaml.Fields} reads mappings strictly, {@link dev.weir.api.yaml.YamlWriter} prints.
 * Free of threads and of Kubernetes.
 */
@NullMarked
package dev.weir.api.yaml;

import org.jspecify.annotations.NullMarked;
