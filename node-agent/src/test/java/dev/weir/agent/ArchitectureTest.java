package dev.weir.agent;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The arrows between the rooms, as docs/ARCHITECTURE.md draws them. */
final class ArchitectureTest {
  private static final String AGENT = "dev.weir.agent";

  @TestFactory
  Stream<DynamicTest> arrows() {
    JavaClasses weir =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.weir");
    return Stream.of(
            noClasses()
                .that()
                .resideInAPackage("dev.weir.ffi..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(AGENT + "..", "dev.weir.bpf..", "dev.weir.api..")
                .because("native knows nothing of meshes"),
            noClasses()
                .that()
                .resideInAPackage("dev.weir.bpf..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(AGENT + "..", "dev.weir.api..")
                .because("the programs know layouts, not the mesh model"),
            noClasses()
                .that()
                .resideInAPackage("dev.weir.api..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(AGENT + "..", "dev.weir.bpf..", "dev.weir.ffi..", "io.netty..")
                .because("protocols and model are shared with programs that have no kernel"),
            noClasses()
                .that()
                .resideInAPackage(AGENT + "..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("dev.weir.api.yaml..", "dev.weir.api.kube..", "org.snakeyaml..")
                .because("a node hears of Kubernetes objects by xDS alone"),
            noClasses()
                .that()
                .resideOutsideOfPackage("dev.weir.ffi..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("java.lang.foreign..", "jnr..")
                .because("the kernel has one door"),
            noClasses()
                .that()
                .resideOutsideOfPackage(AGENT + ".transport..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.netty.channel.uring..")
                .because("one room names a transport"),
            noClasses()
                .that()
                .resideInAnyPackage(
                    AGENT + ".relay..",
                    AGENT + ".tunnel..",
                    AGENT + ".route..",
                    AGENT + ".balance..",
                    AGENT + ".dns..",
                    AGENT + ".capture..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.grpc..", "dev.weir.api.proto..")
                .because("the data path reads the model, not its wire format"),
            noClasses()
                .that()
                .resideOutsideOfPackage(AGENT + ".tunnel..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.netty.handler.codec.http2..")
                .because("one room speaks HTTP/2"),
            noClasses()
                .that()
                .resideInAPackage(AGENT + "..")
                .and()
                .resideOutsideOfPackage(AGENT + ".identity..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("dev.weir.api.proto.ca..", "javax.net.ssl..")
                .because("certificates are made and judged in one room"),
            noClasses()
                .that()
                .resideInAPackage(AGENT + "..")
                .and()
                .resideOutsideOfPackage(AGENT + ".identity..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.grpc.netty..")
                .orShould()
                .dependOnClassesThat()
                .haveFullyQualifiedName("io.grpc.ManagedChannel")
                .because("the control plane is called by one line"),
            classes()
                .that()
                .haveSimpleNameEndingWith("Manager")
                .or()
                .haveSimpleNameEndingWith("Helper")
                .or()
                .haveSimpleNameEndingWith("Util")
                .or()
                .haveSimpleNameEndingWith("Utils")
                .or()
                .haveSimpleNameEndingWith("Impl")
                .should()
                .resideInAPackage("dev.weir.api.proto..")
                .because("names come from the domain"),
            slices().matching(AGENT + ".(*)..").should().beFreeOfCycles())
        .map(rule -> DynamicTest.dynamicTest(rule.getDescription(), () -> check(rule, weir)));
  }

  private static void check(ArchRule rule, JavaClasses weir) {
    rule.allowEmptyShould(true).check(weir);
  }
}
