package dev.weir.lab;

/**
 * A node that stands.
 *
 * @param number N of 10.244.N.x
 * @param zone empty where none was given
 */
record LabNode(String name, int number, String zone) {}
