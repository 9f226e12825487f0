# SPDX-License-Identifier: MIT
#
# The zip for Windows, made by packaging/windows/zip: what is installed, and beside it the import
# library for other compilers, the programs with their sources, the tests, the documentation. Two
# builds are in it: the shared library with the example programs from this one, the static library
# with the test programs from the one that KIRIM_ARCHIVE_WITH names.
#
# What an ordinary installation lacks is the component `archive`.
set(KIRIM_ARCHIVE_WITH "" CACHE PATH "Another build, whose files go into the same archive")
set(archive COMPONENT archive EXCLUDE_FROM_ALL)

if(BUILD_SHARED_LIBS)
    # The linker says what the library exports; of that is made what other linkers understand.
    set(listed "${PROJECT_BINARY_DIR}/kirim-listed.def")
    set(import_files "${PROJECT_BINARY_DIR}/kirim.def" "${PROJECT_BINARY_DIR}/kirim.lib")
    target_link_options(kirim PRIVATE "LINKER:--output-def,${listed}")
    add_custom_command(TARGET kirim POST_BUILD VERBATIM
        COMMAND "${CMAKE_COMMAND}" "-DLISTED=${listed}" "-DLIBRARY=$<TARGET_FILE_NAME:kirim>"
            "-DDEF=${PROJECT_BINARY_DIR}/kirim.def"
            -P "${PROJECT_SOURCE_DIR}/cmake/write-def.cmake"
        COMMAND "${CMAKE_DLLTOOL}" --machine i386:x86-64
            --input-def "${PROJECT_BINARY_DIR}/kirim.def"
            --output-lib "${PROJECT_BINARY_DIR}/kirim.lib")
    install(FILES ${import_files} DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${archive})

    if(KIRIM_EXAMPLES)
        install(TARGETS channel_copy chat coap coapd dnsd dnsfwd dnsq echo echod engine impair
                kirim-bench kirim-probe relay sim_storm tftp tftpd
            RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" ${archive})
    endif()
    install(DIRECTORY examples protocols DESTINATION . ${archive} PATTERN CMakeLists.txt EXCLUDE)
    # The system's shell wants the line ends of its system.
    configure_file(packaging/windows/report.cmd report.cmd @ONLY NEWLINE_STYLE WIN32)
    install(FILES CHANGELOG.md LICENSE README.md "${PROJECT_BINARY_DIR}/report.cmd"
        DESTINATION . ${archive})
    install(DIRECTORY docs DESTINATION . ${archive})
endif()
get_property(suites GLOBAL PROPERTY KIRIM_SUITES)
if(suites AND NOT BUILD_SHARED_LIBS)
    install(TARGETS ${suites} RUNTIME DESTINATION tests ${archive})
    install(FILES tests/conformance/expected_windows.tsv DESTINATION tests ${archive})
endif()

set(CPACK_GENERATOR ZIP)
set(CPACK_PACKAGE_FILE_NAME "kirim-${PROJECT_VERSION}-windows-x86_64")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_CMAKE_PROJECTS "")
foreach(build IN ITEMS "${KIRIM_ARCHIVE_WITH}" "${PROJECT_BINARY_DIR}")
    if(build)
        foreach(component IN ITEMS Unspecified archive)
            list(APPEND CPACK_INSTALL_CMAKE_PROJECTS "${build};kirim;${component};/")
        endforeach()
    endif()
endforeach()
include(CPack)
