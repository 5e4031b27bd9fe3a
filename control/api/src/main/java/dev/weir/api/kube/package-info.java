/**
 * Kubernetes objects as far as Weir reads them: records, {@link dev.weir.api.kube.Manifests} which
 * reads them from YAML with errors that name file, document and line, {@link
 * dev.weir.api.kube.ManifestWriter} which writes them, and {@link dev.weir.api.kube.Enrolment}
 * which says what a pod's annotations ask of the mesh. Fields that Kubernetes has and Weir does not
 * need are accepted and dropped; fields that nobody has are errors. Everything is immutable and
 * free of threads.
 */
@NullMarked
package dev.weir.api.kube;

import org.jspecify.annotations.NullMarked;
