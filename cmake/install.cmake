# SPDX-License-Identifier: MIT
#
# What is installed: the library, lib/include/kirim/, a CMake package and a pkg-config file.
#
# A shared and a static library lie side by side in one prefix, installed from two builds. Therefore
# a build installs files of its own (kirim-shared*.cmake or kirim-static*.cmake), and files that are
# the same in both: it does not matter which of them comes last. That holds for kirim.pc if both
# were built with the same options.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/kirim")
set_target_properties(kirim PROPERTIES EXPORT_NAME ${library_kind})
install(TARGETS kirim EXPORT kirim-${library_kind})
install(EXPORT kirim-${library_kind} NAMESPACE kirim:: DESTINATION "${package_dir}"
    FILE kirim-${library_kind}-targets.cmake)
get_property(public_headers GLOBAL PROPERTY KIRIM_PUBLIC_HEADERS)
install(FILES ${public_headers} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kirim")

# A shared library has what it needs already; who links a static one must find it again.
get_property(reactor_names GLOBAL PROPERTY KIRIM_REACTOR_NAMES)
get_property(has_libevent GLOBAL PROPERTY KIRIM_HAS_LIBEVENT)
set(needs_libevent OFF)
if(has_libevent AND NOT BUILD_SHARED_LIBS)
    set(needs_libevent ON)
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/kirim-library.cmake.in"
    "${PROJECT_BINARY_DIR}/kirim-${library_kind}.cmake" @ONLY)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kirim-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_SOURCE_DIR}/cmake/kirim-config.cmake"
    "${PROJECT_BINARY_DIR}/kirim-config-version.cmake"
    "${PROJECT_BINARY_DIR}/kirim-${library_kind}.cmake"
    DESTINATION "${package_dir}")

# The prefix is found from where the file lies, so that `cmake --install --prefix` may change it.
# libevent stands in Libs.private, not in Requires.private: that would ask users of the shared
# library, too, for libevent's own pkg-config file.
file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
set(pc_libs_private "")
if(has_libevent) # pkg-config itself leaves out the system's directories, its CMake module does not
    execute_process(COMMAND "${PKG_CONFIG_EXECUTABLE}" --static --libs libevent_core
        OUTPUT_VARIABLE pc_libs_private OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
elseif(WIN32)
    get_property(system_libraries GLOBAL PROPERTY KIRIM_SYSTEM_LIBRARIES)
    list(TRANSFORM system_libraries PREPEND "-l")
    list(JOIN system_libraries " " pc_libs_private)
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/kirim.pc.in" "${PROJECT_BINARY_DIR}/kirim.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/kirim.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
